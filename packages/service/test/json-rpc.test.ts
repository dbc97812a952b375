/** The server against the JSON-RPC 2.0 specification and hostile input, over HTTP and WebSocket. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { SquadError } from '@squad/types';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createPrometheusMetrics, type Logger, type RpcServer, silentLogger } from '../src/index.ts';
import { call, malformedRequests, post, startServer, subscribers, TestSocket } from './json-rpc-support.ts';

describe('JSON-RPC over HTTP and WebSocket', () => {
  let server: RpcServer;
  const sockets: TestSocket[] = [];
  beforeAll(async () => {
    server = await startServer();
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.close();
  });
  afterAll(() => server.close());

  const open = async (url = server.url) => {
    const socket = await TestSocket.open(url);
    sockets.push(socket);
    return socket;
  };
  const overHttp = async (text: string) => (await post(server.url, text)).json;
  const overWebSocket = async (text: string) => {
    const socket = await open();
    socket.send(text);
    // A request that is not answered is told apart by the answer to the next one, which takes a turn of the event loop.
    socket.send(JSON.stringify(call('sum', [0, 0, 0], 'end')));
    const answer = (await socket.next()) as { id?: unknown };
    return answer.id === 'end' ? undefined : answer;
  };

  /** https://www.jsonrpc.org/specification#examples, to the letter except for messages, which are free. */
  const examples: readonly (readonly [name: string, request: string, answer: unknown])[] = [
    ['positional', '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}', { result: 19, id: 1 }],
    [
      'positional, reversed',
      '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
      { result: -19, id: 2 },
    ],
    [
      'named',
      '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
      { result: 19, id: 3 },
    ],
    [
      'named, other order',
      '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
      { result: 19, id: 4 },
    ],
    ['a notification', '{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', undefined],
    ['a notification of an unknown method', '{"jsonrpc": "2.0", "method": "foobar"}', undefined],
    ['an unknown method', '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', { error: -32601, id: '1' }],
    ['invalid JSON', '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', { error: -32700, id: null }],
    ['an invalid request', '{"jsonrpc": "2.0", "method": 1, "params": "bar"}', { error: -32600, id: null }],
    [
      'a batch of invalid JSON',
      '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]',
      { error: -32700, id: null },
    ],
    ['an empty batch', '[]', { error: -32600, id: null }],
    ['an invalid batch', '[1]', [{ error: -32600, id: null }]],
    ['three invalid calls', '[1,2,3]', [1, 2, 3].map(() => ({ error: -32600, id: null }))],
    [
      'a batch of all kinds',
      `[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
        {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "get_data", "id": "9"}]`,
      [
        { result: 7, id: '1' },
        { result: 19, id: '2' },
        { error: -32600, id: null },
        { error: -32601, id: '5' },
        { result: ['hello', 5], id: '9' },
      ],
    ],
    [
      'a batch of notifications',
      '[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]}, {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]',
      undefined,
    ],
  ];

  type Answer = { jsonrpc: string; id: unknown; result?: unknown; error?: { code: number; message: string } };
  const plain = (answer: unknown): unknown => {
    if (answer === undefined) return undefined;
    if (Array.isArray(answer)) return answer.map(plain);
    const { jsonrpc, id, result, error } = answer as Answer;
    expect(jsonrpc).toBe('2.0');
    return error === undefined ? { result, id } : { error: error.code, id };
  };

  for (const [transport, send] of [
    ['HTTP', overHttp],
    ['WebSocket', overWebSocket],
  ] as const) {
    describe(transport, () => {
      it.each(examples)('answers %s as the specification does', async (_name, request, answer) => {
        expect(plain(await send(request))).toEqual(answer);
      });

      it('answers 64 and more malformed requests each with its error, and goes on', async () => {
        const requests = malformedRequests.filter(([text]) => text !== '');
        expect(requests.length).toBeGreaterThanOrEqual(64);
        for (const [text, code] of requests) {
          const answer = (await send(text)) as Answer;
          expect([text.slice(0, 60), answer.error?.code]).toEqual([text.slice(0, 60), code]);
          expect(answer.error?.message).not.toBe('');
        }
        expect(plain(await send(JSON.stringify(call('get_data'))))).toEqual({ result: ['hello', 5], id: 1 });
      });

      it('hides what a bug threw, and keeps the words of an expected failure', async () => {
        const bug = (await send(JSON.stringify(call('throws')))) as Answer;
        expect(bug.error).toMatchObject({ code: -32603, message: 'internal error' });
        expect(JSON.stringify(bug)).not.toContain('shadow');
        expect(plain(await send(JSON.stringify(call('unserializable'))))).toEqual({ error: -32603, id: 1 });
        expect(await send(JSON.stringify(call('refuses')))).toMatchObject({
          error: { code: -32000, message: 'no', data: { code: 'NO', remedy: 'Ask later.' } },
        });
      });

      it('keeps ids of every kind, and answers null where there is no result', async () => {
        for (const id of ['', 'text', 0, -1, 1.5, null]) {
          expect(await send(JSON.stringify(call('echo', [], id)))).toEqual({ jsonrpc: '2.0', id, result: null });
        }
      });

      it('takes a batch at the limit and refuses one that is one call larger', async () => {
        const batch = Array.from({ length: 1_000 }, (_, id) => call('echo', [id], id));
        const answers = (await send(JSON.stringify(batch))) as Answer[];
        expect(answers.map(({ result }) => result)).toEqual(batch.map(({ id }) => id));
        expect(await send(JSON.stringify([...batch, call('echo')]))).toMatchObject({
          id: null,
          error: { code: -32600, data: { code: 'BATCH_TOO_LARGE', limit: 1_000 } },
        });
      });
    });
  }

  it('names the parameter that does not fit', async () => {
    const { json } = await post(server.url, JSON.stringify(call('subtract', [1, 'two'])));
    expect(json).toMatchObject({ error: { data: { code: 'INVALID_PARAMS', param: 'subtrahend', given: 'two' } } });
    expect((json as Answer).error?.message).toContain('subtrahend');
  });

  it('lets browsers and wallets of any origin in', async () => {
    const preflight = await fetch(server.url, { method: 'OPTIONS', headers: { origin: 'https://wallet.example' } });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
    expect(preflight.headers.get('access-control-allow-headers')).toContain('content-type');
    const { headers } = await post(server.url, JSON.stringify(call('get_data')));
    expect(headers.get('access-control-allow-origin')).toBe('*');
  });

  it('tells what to do about an empty body, a GET and a wrong path', async () => {
    expect(await post(server.url, '')).toMatchObject({ status: 400, json: { error: { code: -32600 } } });
    const get = await fetch(server.url);
    expect([get.status, ((await get.json()) as Answer).error?.message]).toEqual([405, expect.stringContaining('POST')]);
    expect(await post(`${server.url}/elsewhere`, '{}')).toMatchObject({
      status: 404,
      json: { error: { code: -32600 } },
    });
  });

  it('answers a notification with no content', async () => {
    expect(await post(server.url, '{"jsonrpc":"2.0","method":"get_data"}')).toMatchObject({
      status: 204,
      json: undefined,
    });
  });

  it('takes any content type, and none', async () => {
    const body = JSON.stringify(call('get_data'));
    for (const headers of [
      { 'content-type': 'text/plain' },
      { 'content-type': 'application/x-www-form-urlencoded' },
      {},
    ]) {
      const answer = await fetch(server.url, { method: 'POST', body: new TextEncoder().encode(body), headers });
      expect(await answer.json()).toMatchObject({ result: ['hello', 5] });
    }
  });

  it('survives bytes that are not HTTP, and a request that is cut off', async () => {
    for (const bytes of [
      '\u0000\u0001\u0002\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"json',
    ]) {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => {});
      await once(socket, 'connect');
      await new Promise((resolve) => socket.write(bytes, resolve));
      socket.destroy();
    }
    expect(await post(server.url, JSON.stringify(call('get_data')))).toMatchObject({ status: 200 });
  });

  it('describes itself in OpenRPC, from the same table', async () => {
    const { json } = await post(server.url, JSON.stringify(call('rpc.discover')));
    const { result } = json as { result: { openrpc: string; methods: { name: string; params: unknown[] }[] } };
    expect(result.openrpc).toMatch(/^1\./);
    expect(result.methods.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['subtract', 'test_subscribe', 'test_unsubscribe', 'rpc.discover']),
    );
    expect(result.methods.find(({ name }) => name === 'subtract')).toMatchObject({
      params: [
        { name: 'minuend', required: true, schema: { type: 'number' } },
        { name: 'subtrahend', required: true, schema: { type: 'number' } },
      ],
      result: { schema: { type: 'number' } },
    });
    expect(result.methods.find(({ name }) => name === 'echo')).toMatchObject({ params: [{ required: false }] });
  });

  describe('subscriptions', () => {
    it('sends the id first, then what was emitted, until unsubscribed', async () => {
      const socket = await open();
      // In a batch with a slower call, whose answer comes late.
      socket.send([call('test_subscribe', ['ticks', 7], 1), call('sum', [1, 2, 3], 2)]);
      const [{ result: id }] = (await socket.next()) as [{ result: string }];
      const tick = (result: number) => ({
        jsonrpc: '2.0',
        method: 'test_subscription',
        params: { subscription: id, result },
      });
      expect(await socket.next()).toEqual(tick(7));
      const [subscriber] = subscribers;
      subscriber!.emit(8);
      expect(await socket.next()).toEqual(tick(8));
      socket.send(call('test_unsubscribe', [id], 3));
      expect(await socket.next()).toMatchObject({ id: 3, result: true });
      expect([subscriber!.closed.aborted, subscribers.size]).toEqual([true, 0]);
      subscriber!.emit(9);
      socket.send(call('test_unsubscribe', [id], 4));
      expect(await socket.next()).toMatchObject({ id: 4, result: false });
    });

    it('ends with the connection', async () => {
      const socket = await open();
      socket.send(call('test_subscribe', ['ticks']));
      await socket.next();
      const [subscriber] = subscribers;
      const ended = once(subscriber!.closed, 'abort');
      socket.close();
      await ended;
      expect(subscribers.size).toBe(0);
    });

    it('refuses unknown names, bad parameters, and HTTP', async () => {
      for (const params of [[], ['nope'], [1], ['ticks', 'x'], ['ticks', 1, 2], {}]) {
        expect(await overWebSocket(JSON.stringify(call('test_subscribe', params)))).toMatchObject({
          error: { code: -32602 },
        });
      }
      expect(await overHttp(JSON.stringify(call('test_subscribe', ['ticks'])))).toMatchObject({
        error: { code: -32004, data: { code: 'NOT_A_WEBSOCKET' } },
      });
      expect(subscribers.size).toBe(0);
    });
  });
});

describe('starting and watching the server', () => {
  it('names the port that is taken and the flag that changes it', async () => {
    const taken = createServer();
    taken.listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const failure = await startServer({ port, portFlag: '--rollup-rpc-port' }).catch((error: unknown) => error);
    taken.close();
    expect(failure).toBeInstanceOf(SquadError);
    const { code, message, remedy } = failure as SquadError;
    expect(code).toBe('PORT_IN_USE');
    expect(message).toContain(String(port));
    expect(remedy).toContain('--rollup-rpc-port');
  });

  it('explains an address that is not of this machine', async () => {
    await expect(startServer({ host: '203.0.113.7' })).rejects.toMatchObject({ code: 'LISTEN_FAILED' });
  });

  it('counts calls by method and outcome, unknown methods under one name', async () => {
    const metrics = createPrometheusMetrics({ processMetrics: false });
    const server = await startServer({ metrics });
    const calls = [call('get_data'), call('refuses'), call('throws'), call('nope1'), call('nope2')];
    await post(server.url, JSON.stringify(calls));
    await server.close();
    const text = await metrics.text();
    expect(text).toContain('squad_rpc_calls_total{method="get_data",outcome="ok"} 1');
    expect(text).toContain('squad_rpc_calls_total{method="refuses",outcome="refused"} 1');
    expect(text).toContain('squad_rpc_calls_total{method="throws",outcome="failed"} 1');
    expect(text).toContain('squad_rpc_calls_total{method="unknown",outcome="refused"} 2');
    expect(text).not.toContain('nope');
  });

  it('logs what a bug threw, and nothing for an expected failure', async () => {
    const lines: unknown[] = [];
    const logger: Logger = { ...silentLogger, error: (fields: unknown) => lines.push(fields), child: () => logger };
    const server = await startServer({ logger });
    await post(server.url, JSON.stringify([call('throws'), call('refuses'), call('subtract', [])]));
    await server.close();
    expect(lines).toMatchObject([{ method: 'throws', err: { message: 'the secret path is /etc/shadow' } }]);
  });

  it.each([
    ['one that is not served', '/nope', 404],
    ['one whose encoding is broken', '/%zz', 400],
    ['one with a part that is too long', `/rollup/${'9'.repeat(65)}`, 414],
  ])('names the paths to who asks for another: %s', async (_what, path, status) => {
    const server = await startServer({ paths: ['/', '/rollup/:rollupId'] });
    const answer = await fetch(`${server.url}${path}`, { method: 'POST', body: JSON.stringify(call('get_data')) });
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    expect([answer.status, await answer.json()]).toMatchObject([
      status,
      {
        id: null,
        error: {
          code: -32_600,
          data: { code: 'INVALID_REQUEST', remedy: 'Use one of the paths: /, /rollup/:rollupId.' },
        },
      },
    ]);
    await server.close();
  });

  it('gives the named parts of the path to handlers', async () => {
    const server = await startServer({ paths: ['/', '/rollup/:rollupId'] });
    expect((await post(`${server.url}/rollup/901`, JSON.stringify(call('get_data')))).status).toBe(200);
    const socket = await TestSocket.open(`${server.url}/rollup/901`);
    socket.send(call('get_data'));
    expect(await socket.next()).toMatchObject({ result: ['hello', 5] });
    socket.close();
    await server.close();
  });
});
