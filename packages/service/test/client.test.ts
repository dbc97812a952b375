/** The JSON-RPC client: results, refusals, servers that answer badly or not at all, and subscriptions that come back. */

import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { z } from 'zod';
import { followSubscription, type RpcServer, rpcBatch, rpcCall } from '../src/index.ts';
import { startServer, subscribers } from './json-rpc-support.ts';

let server: RpcServer | undefined;
let fake: Server | undefined;
afterEach(async () => {
  await server?.close();
  fake?.closeAllConnections();
  fake?.close();
  server = undefined;
  fake = undefined;
});

/** A server that answers every request with this. */
async function fakeServer(answer: (response: ServerResponse, body: string) => void): Promise<string> {
  fake = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    answer(response, body);
  });
  fake.listen(0, '127.0.0.1');
  await once(fake, 'listening');
  return `http://127.0.0.1:${(fake.address() as AddressInfo).port}`;
}

describe('calls', () => {
  it('returns a checked result, and throws the error of the server', async () => {
    server = await startServer();
    expect(await rpcCall(server.url, 'subtract', [5, 3], z.number())).toBe(2);
    await expect(rpcCall(server.url, 'refuses', [], z.unknown())).rejects.toMatchObject({
      name: 'RpcError',
      code: -32000,
      data: { code: 'NO', remedy: 'Ask later.' },
    });
    await expect(rpcCall(server.url, 'get_data', [], z.number())).rejects.toMatchObject({ code: 'RPC_BAD_ANSWER' });
  });

  it('gives the outcomes of a batch in the order of its calls, whatever the order of the answers', async () => {
    server = await startServer();
    const outcomes = await rpcBatch(server.url, [
      { method: 'sum', params: [1, 2, 3] },
      { method: 'nope' },
      { method: 'subtract', params: [1, 2] },
    ]);
    expect(outcomes).toMatchObject([
      { ok: true, value: 6 },
      { ok: false, error: { code: -32601 } },
      { ok: true, value: -1 },
    ]);
    expect(await rpcBatch(server.url, [])).toEqual([]);

    const reversed = await fakeServer((response, body) => {
      const answers = (JSON.parse(body) as { id: number }[]).map(({ id }) => ({ jsonrpc: '2.0', id, result: id * 10 }));
      response.end(JSON.stringify(answers.reverse()));
    });
    expect(await rpcBatch(reversed, [{ method: 'a' }, { method: 'b' }])).toMatchObject([{ value: 0 }, { value: 10 }]);
  });

  it('throws when a batch is refused as a whole', async () => {
    server = await startServer({ maxBatchCalls: 1 });
    const calls = [{ method: 'get_data' }, { method: 'get_data' }];
    await expect(rpcBatch(server.url, calls)).rejects.toMatchObject({
      code: -32600,
      data: { code: 'BATCH_TOO_LARGE' },
    });
  });

  it('says that nobody listens there', async () => {
    const url = await fakeServer(() => {});
    fake!.close();
    await once(fake!, 'close');
    const failure = rpcCall(url, 'a', [], z.unknown());
    await expect(failure).rejects.toMatchObject({ code: 'RPC_UNREACHABLE', message: expect.stringContaining(url) });
  });

  it('gives up after the timeout, whether headers or the body are late', async () => {
    const silent = await fakeServer((response) => {
      response.write('{"jsonrpc"');
    });
    await expect(rpcCall(silent, 'a', [], z.unknown(), { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'RPC_TIMEOUT',
    });
  });

  it.each([
    ['no JSON', 'Bad Gateway'],
    ['nothing', ''],
    ['no object', '"text"'],
    ['null', 'null'],
    ['neither result nor error', '{"jsonrpc":"2.0","id":1}'],
    ['an error without a code', '{"jsonrpc":"2.0","id":1,"error":{"message":"x"}}'],
    ['an error that is text', '{"jsonrpc":"2.0","id":1,"error":"x"}'],
  ])('refuses an answer that is %s', async (_what, text) => {
    const url = await fakeServer((response) => response.end(text));
    await expect(rpcCall(url, 'a', [], z.unknown())).rejects.toMatchObject({ code: 'RPC_BAD_ANSWER' });
    await expect(rpcBatch(url, [{ method: 'a' }])).rejects.toMatchObject({ code: 'RPC_BAD_ANSWER' });
  });

  it('reads an answer at its limit and no byte more', async () => {
    const url = await fakeServer((response) => response.end(`{"result":"${'x'.repeat(987)}"}`));
    expect(await rpcCall(url, 'a', [], z.string(), { maxAnswerBytes: 1_000 })).toHaveLength(987);
    await expect(rpcCall(url, 'a', [], z.string(), { maxAnswerBytes: 999 })).rejects.toMatchObject({
      code: 'RPC_BAD_ANSWER',
    });
  });
});

describe('followed subscriptions', () => {
  it('resumes after the server was lost, with the parameters of that moment', async () => {
    server = await startServer();
    const { port } = server;
    let next = 1;
    const got: unknown[] = [];
    let wake = () => {};
    const received = (count: number) =>
      new Promise<void>((resolve) => {
        wake = () => got.length >= count && resolve();
        wake();
      });
    let lost = 0;
    const follower = followSubscription({
      url: server.url.replace('http', 'ws'),
      method: 'test_subscribe',
      params: () => ['ticks', next],
      onNotification: (result) => {
        got.push(result);
        next = (result as number) + 1;
        wake();
      },
      onLost: () => {
        lost++;
      },
      retryMs: 10,
    });
    await received(1);
    await server.close();
    server = await startServer({ port });
    await received(2);
    follower.close();
    expect(got).toEqual([1, 2]);
    expect(lost).toBeGreaterThanOrEqual(1);
  });

  it('gives up a server that answers no ping', async () => {
    const deaf = new WebSocketServer({ port: 0, host: '127.0.0.1', autoPong: false });
    await once(deaf, 'listening');
    const failure = await new Promise<Error>((resolve) => {
      const follower = followSubscription({
        url: `ws://127.0.0.1:${(deaf.address() as AddressInfo).port}`,
        method: 'test_subscribe',
        params: () => ['ticks'],
        onNotification: () => {},
        pingIntervalMs: 50,
        onLost: (error) => {
          follower.close();
          resolve(error);
        },
      });
    });
    deaf.close();
    expect(failure).toMatchObject({ code: 'RPC_UNREACHABLE', message: expect.stringContaining('answers no ping') });
  });

  it('reports a refusal with the words of the server', async () => {
    server = await startServer();
    const url = server.url.replace('http', 'ws');
    const failure = await new Promise<Error>((resolve) => {
      const follower = followSubscription({
        url,
        method: 'test_subscribe',
        params: () => ['nope'],
        onNotification: () => {},
        onLost: (error) => {
          follower.close();
          resolve(error);
        },
      });
    });
    expect(failure).toMatchObject({ name: 'RpcError', code: -32602 });
    expect(subscribers.size).toBe(0);
  });
});
