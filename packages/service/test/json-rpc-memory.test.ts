/** What callers can make the JSON-RPC server keep in memory, by bodies, answers, and by not reading. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { defineMethod, MAX_RPC_BODY_PIECES, MAX_RPC_OWN_BYTES, type RpcServer } from '../src/index.ts';
import { call, post, startServer, subscribers, TestSocket } from './json-rpc-support.ts';

const long = defineMethod({
  name: 'long',
  summary: 'An answer of a given length',
  params: { length: z.number() },
  result: { name: 'result', description: 'For the test' },
  handler: ({ length }) => 'x'.repeat(length),
});
const size = defineMethod({
  name: 'size',
  summary: 'The length of what it got',
  params: { text: z.string() },
  result: { name: 'result', description: 'For the test' },
  handler: ({ text }) => text.length,
});
const busy = { error: { code: -32005, data: { code: 'SERVER_BUSY' } } };
const bodyOf = (length: number) => JSON.stringify(call('size', ['x'.repeat(length)]));
const longCall = (length: number) => JSON.stringify(call('long', [length]));

describe('memory of the server', () => {
  let server: RpcServer | undefined;
  const sockets: { destroy(): void }[] = [];
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await server?.close();
    server = undefined;
  });

  /** A connection over which a test speaks HTTP by hand. */
  const raw = async (head: string): Promise<Socket> => {
    const socket = connect(Number(new URL(server!.url).port), '127.0.0.1');
    socket.on('error', () => {});
    sockets.push(socket);
    await once(socket, 'connect');
    socket.write(`POST / HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n${head}\r\n\r\n`);
    return socket;
  };

  it('takes a body in as many pieces as its limit, and refuses one more', async () => {
    server = await startServer({ methods: [size] });
    const inPieces = async (text: string) => {
      const socket = await raw('transfer-encoding: chunked\r\nconnection: close');
      socket.write(`${[...text].map((character) => `1\r\n${character}\r\n`).join('')}0\r\n\r\n`);
      let answer = '';
      for await (const bytes of socket) answer += bytes;
      return answer;
    };
    const text = bodyOf(MAX_RPC_BODY_PIECES - bodyOf(0).length);
    expect(await inPieces(text)).toContain('"result"');
    expect(await inPieces(`${text} `)).toContain('BODY_IN_PIECES');
  });

  it('keeps bodies that come slowly in one budget, beside a little for each connection', async () => {
    const large = 4 * MAX_RPC_OWN_BYTES;
    server = await startServer({ methods: [size], maxSharedBytes: 4 * large });
    // What was kept is given back.
    for (let i = 0; i < 8; i++) expect(await post(server.url, bodyOf(large))).toMatchObject({ status: 200 });

    for (let i = 0; i < 8; i++) {
      const socket = await raw(`content-length: ${2 * large}`);
      socket.write('x'.repeat(large));
    }
    const refused = () => post(server!.url, bodyOf(large));
    await expect.poll(refused, { timeout: 20_000 }).toMatchObject({ status: 503, json: busy });
    const webSocket = await TestSocket.open(server.url);
    webSocket.send(bodyOf(large));
    expect((await webSocket.closed()).code).toBe(1013);
    expect(await post(server.url, bodyOf(10))).toMatchObject({ status: 200 });

    for (const socket of sockets.splice(0)) socket.destroy();
    await expect.poll(async () => (await refused()).status, { timeout: 20_000 }).toBe(200);
  });

  it('keeps what comes of a WebSocket message in the same budget', async () => {
    const large = 4 * MAX_RPC_OWN_BYTES;
    server = await startServer({ methods: [size], maxSharedBytes: 3 * large });
    const first = await TestSocket.open(server.url);
    sockets.push({ destroy: () => first.close() });
    for (let i = 0; i < 8; i++) {
      first.send(bodyOf(large / 2));
      expect(await first.next()).toMatchObject({ result: large / 2 });
    }
    const closed = first.closed();
    for (let i = 0; i < 16; i++) first.socket.send('x'.repeat(large / 4), { fin: false });
    expect((await closed).code).toBe(1013);
    await expect.poll(async () => (await post(server!.url, bodyOf(large))).status, { timeout: 20_000 }).toBe(200);
  });

  it('refuses an answer that there is no room for, of a call and of a batch', async () => {
    server = await startServer({ methods: [long], maxSharedBytes: 100_000 });
    const most = 100_000 + MAX_RPC_OWN_BYTES - 10_000;
    const batch = (...lengths: number[]) => `[${lengths.map(longCall).join()}]`;
    const answerTo = async (text: string) => (await post(server!.url, text)).json;
    expect(await answerTo(longCall(most))).toMatchObject({ result: expect.any(String) });
    expect(await answerTo(longCall(most + 10_000))).toMatchObject(busy);
    expect(await answerTo(batch(most / 2, most / 2))).toMatchObject([{}, {}]);
    expect(await answerTo(batch(most / 2, most / 2 + 10_000))).toMatchObject(busy);
    expect(await answerTo(longCall(most))).toMatchObject({ result: expect.any(String) });
  });

  it('cuts an HTTP caller that does not read a large answer, and has its room again', async () => {
    const large = 24 * 1024 * 1024;
    server = await startServer({ methods: [long], maxSharedBytes: large, answerTimeoutMs: 100 });
    const text = longCall(large);
    const socket = await raw(`content-length: ${text.length}`);
    socket.pause();
    socket.write(text);
    // Needs more than what is left beside the one that is not read.
    const answer = async () => (await post(server!.url, longCall(3 * MAX_RPC_OWN_BYTES))).json;
    await expect.poll(answer, { timeout: 20_000 }).toMatchObject({ result: expect.any(String) });
  });

  it('sends a message that is larger than the buffer to a WebSocket that has read all before it', async () => {
    server = await startServer({ methods: [long], maxBufferBytes: 100_000 });
    const socket = await TestSocket.open(server.url);
    sockets.push({ destroy: () => socket.close() });
    socket.send(longCall(8_000_000));
    expect(await socket.next()).toMatchObject({ result: expect.any(String) });
    socket.send(call('test_subscribe', ['ticks']));
    await socket.next();
    const [subscriber] = subscribers;
    for (let i = 0; i < 3; i++) {
      await subscriber!.ready();
      subscriber!.emit('x'.repeat(8_000_000 + i));
      expect(await socket.next()).toMatchObject({ params: { result: 'x'.repeat(8_000_000 + i) } });
    }
  });

  it('closes a WebSocket that answers pings without having read them', async () => {
    server = await startServer({ pingIntervalMs: 100 });
    const socket = new WebSocket(server.url.replace('http', 'ws'), { autoPong: false });
    socket.on('error', () => {});
    socket.on('ping', () => socket.pong('not what came'));
    await once(socket, 'close');
  });
});
