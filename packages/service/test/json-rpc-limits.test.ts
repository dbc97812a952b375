/** The limits of the JSON-RPC server, each at its value and one beyond, and what it does under load. */

import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  createPrometheusMetrics,
  defineMethod,
  defineSubscription,
  MAX_RPC_BATCH_CALLS_IN_FLIGHT,
  type RpcServer,
} from '../src/index.ts';
import { call, post, startServer, subscribers, TestSocket, ticks } from './json-rpc-support.ts';

describe('limits of the server', () => {
  let server: RpcServer | undefined;
  const sockets: TestSocket[] = [];
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.close();
    await server?.close();
    server = undefined;
  });
  const open = async () => {
    const socket = await TestSocket.open(server!.url);
    sockets.push(socket);
    return socket;
  };
  /** A call of exactly this many bytes. */
  const callOf = (bytes: number) => {
    const text = JSON.stringify(call('echo', ['']));
    return text.replace('""', `"${'x'.repeat(bytes - text.length)}"`);
  };

  it('takes a body at its limit and refuses one more byte, over HTTP and WebSocket', async () => {
    server = await startServer({ maxBodyBytes: 1_000 });
    expect(await post(server.url, callOf(1_000))).toMatchObject({ status: 200 });
    expect(await post(server.url, callOf(1_001))).toMatchObject({
      status: 413,
      json: { error: { code: -32600, data: { code: 'BODY_TOO_LARGE', limitBytes: 1_000 } } },
    });
    const socket = await open();
    socket.send(callOf(1_000));
    expect(await socket.next()).toMatchObject({ id: 1 });
    socket.send(callOf(1_001));
    expect((await socket.closed()).code).toBe(1009);
  });

  it('answers within its limit, and says so when an answer would be larger', async () => {
    server = await startServer({ maxResponseBytes: 1_000 });
    const large = { code: -32003, data: { code: 'ANSWER_TOO_LARGE' } };
    const echo = (length: number) => call('echo', ['x'.repeat(length)]);
    expect((await post(server.url, JSON.stringify(echo(998)))).json).toMatchObject({ result: 'x'.repeat(998) });
    expect((await post(server.url, JSON.stringify(echo(999)))).json).toMatchObject({ error: large });
    expect((await post(server.url, JSON.stringify([echo(600), echo(600)]))).json).toMatchObject({ error: large });
  });

  it('stops making the calls of a batch once their answers do not fit', async () => {
    let made = 0;
    const waiting = defineMethod({
      name: 'waiting',
      summary: 'A hundred characters, after a turn of the event loop',
      params: {},
      result: { name: 'result', description: 'For the test' },
      handler: async () => {
        made++;
        await new Promise(setImmediate);
        return 'x'.repeat(100);
      },
    });
    const atOnce = defineMethod({ ...waiting, params: {}, name: 'at_once', handler: () => `${++made}`.padEnd(100) });
    server = await startServer({ maxResponseBytes: 1_000, methods: [waiting, atOnce] });
    const batchOf = (method: string) => JSON.stringify(Array.from({ length: 1_000 }, (_, id) => call(method, [], id)));
    const large = { error: { code: -32003, data: { code: 'ANSWER_TOO_LARGE' } } };

    expect((await post(server.url, batchOf('at_once'))).json).toMatchObject(large);
    expect(made).toBeLessThan(10);
    made = 0;
    expect((await post(server.url, batchOf('waiting'))).json).toMatchObject(large);
    // Ten answers fill it; calls that end make room for others until then.
    expect(made).toBeLessThan(MAX_RPC_BATCH_CALLS_IN_FLIGHT + 20);
  });

  it('opens no subscription for the rest of a batch whose connection is gone', async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const waits = defineMethod({
      name: 'waits',
      summary: 'Until the test says so',
      params: {},
      result: { name: 'result', description: 'For the test' },
      handler: () => gate,
    });
    const metrics = createPrometheusMetrics({ processMetrics: false });
    server = await startServer({ methods: [waits], metrics });
    const socket = await open();
    const waiting = Array.from({ length: MAX_RPC_BATCH_CALLS_IN_FLIGHT }, (_, id) => call('waits', [], id));
    socket.send([...waiting, call('test_subscribe', ['ticks'])]);
    // Its answer comes behind the batch's first calls.
    socket.send(call('rpc.discover'));
    await socket.next();
    socket.close();
    while (!/^squad_rpc_websocket_connections 0$/m.test(await metrics.text())) await new Promise(setImmediate);
    release();
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    expect(await metrics.text()).toMatch(/^squad_rpc_live_subscriptions 0$/m);
    expect(subscribers.size).toBe(0);
  });

  it('answers a batch in order whatever finishes first, and lets others in between', async () => {
    let others = 0;
    const method = defineMethod({
      name: 'slow',
      summary: 'Holds the event loop for 2 ms; every third call waits as well',
      params: { value: z.number() },
      result: { name: 'result', description: 'For the test' },
      handler: ({ value }): number | Promise<number> => {
        const end = performance.now() + 2;
        while (performance.now() < end);
        return value % 3 === 0 ? new Promise((resolve) => setTimeout(resolve, value % 7, value)) : value;
      },
    });
    const ticking = setInterval(() => others++, 1);
    server = await startServer({ methods: [method] });
    const calls = Array.from({ length: 300 }, (_, id) => call('slow', [id], id));
    const { json } = await post(server.url, JSON.stringify(calls));
    clearInterval(ticking);
    expect((json as { id: number; result: number }[]).map(({ id, result }) => [id, result])).toEqual(
      calls.map((_, id) => [id, id]),
    );
    expect(others).toBeGreaterThan(10);
  });

  it('refuses a parameter that is nested too deeply to be shown, as any other wrong one', async () => {
    server = await startServer();
    const depth = 200_000;
    const body = JSON.stringify(call('subtract', ['?', 1])).replace('"?"', '['.repeat(depth) + ']'.repeat(depth));
    expect((await post(server.url, body)).json).toMatchObject({ error: { code: -32602 } });
  });

  it('holds as many WebSockets as its limit, tells the next one, and has room again when one leaves', async () => {
    server = await startServer({ maxWebSockets: 2 });
    const [first] = [await open(), await open()];
    const refused = await open();
    const closed = refused.closed();
    expect(await refused.next()).toMatchObject({ error: { code: -32005, data: { code: 'TOO_MANY_CONNECTIONS' } } });
    expect(await closed).toMatchObject({ code: 1013 });
    first.socket.close();
    await first.closed();
    const next = await open();
    next.send(call('get_data'));
    expect(await next.next()).toMatchObject({ result: ['hello', 5] });
  });

  it('holds as many subscriptions of one connection as its limit', async () => {
    server = await startServer({ maxSubscriptions: 2 });
    const socket = await open();
    const subscribe = async () => {
      socket.send(call('test_subscribe', ['ticks']));
      return (await socket.next()) as { result?: string };
    };
    const first = await subscribe();
    expect(await subscribe()).toHaveProperty('result');
    expect(await subscribe()).toMatchObject({
      error: { code: -32005, data: { code: 'TOO_MANY_SUBSCRIPTIONS', limit: 2 } },
    });
    socket.send(call('test_unsubscribe', [first.result]));
    await socket.next();
    expect(await subscribe()).toHaveProperty('result');
  });

  it('holds as many subscriptions as its limit over all connections, and has room again when a connection ends', async () => {
    server = await startServer({ maxLiveSubscriptions: 2 });
    const subscribe = async () => {
      const socket = await open();
      socket.send(call('test_subscribe', ['ticks']));
      return { socket, answer: await socket.next() };
    };
    const first = await subscribe();
    await subscribe();
    const refused = { error: { code: -32005, data: { code: 'TOO_MANY_SUBSCRIPTIONS', limit: 2 } } };
    expect((await subscribe()).answer).toMatchObject(refused);
    first.socket.socket.close();
    await first.socket.closed();
    expect((await subscribe()).answer).toHaveProperty('result');
  });

  it('holds as many of one subscription as that allows, over all connections', async () => {
    const rare = defineSubscription({
      namespace: 'test',
      name: 'rare',
      summary: 'Costs much',
      params: { sound: z.boolean() },
      maxLive: 1,
      result: { name: 'result', description: 'For the test' },
      subscribe: ({ sound }) => {
        if (!sound) throw new Error('no');
        return () => {};
      },
    });
    server = await startServer({ subscriptions: [ticks, rare] });
    const [one, other] = [await open(), await open()];
    const subscribe = async (socket: TestSocket, ...params: unknown[]) => {
      socket.send(call('test_subscribe', params));
      return (await socket.next()) as { result?: string };
    };
    // One that failed counts no longer.
    expect(await subscribe(one, 'rare', false)).toHaveProperty('error');
    const held = await subscribe(one, 'rare', true);
    expect(held).toHaveProperty('result');
    const refused = { error: { code: -32005, data: { code: 'TOO_MANY_SUBSCRIPTIONS', limit: 1 } } };
    expect(await subscribe(other, 'rare', true)).toMatchObject(refused);
    expect(await subscribe(other, 'ticks')).toHaveProperty('result');
    one.send(call('test_unsubscribe', [held.result]));
    await one.next();
    expect(await subscribe(other, 'rare', true)).toHaveProperty('result');
  });

  it('limits the calls of one address over HTTP: each in a batch on its own, then whole requests', async () => {
    server = await startServer({ ratePerAddress: { perSecond: 0.001, burst: 3 } });
    const batch = JSON.stringify(Array.from({ length: 4 }, (_, id) => call('get_data', [], id)));
    const { json } = await post(server.url, batch);
    expect((json as { result?: unknown }[]).map(({ result }) => result !== undefined)).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect((json as unknown[])[3]).toMatchObject({ id: 3, error: { code: -32005, data: { code: 'RATE_LIMITED' } } });
    const refused = await post(server.url, batch);
    expect(refused).toMatchObject({ status: 429, json: { error: { code: -32005 } } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('limits the calls of one WebSocket connection, and of its address', async () => {
    server = await startServer({
      ratePerConnection: { perSecond: 0.001, burst: 2 },
      ratePerAddress: { perSecond: 0.001, burst: 3 },
    });
    const outcomes = async () => {
      const socket = await open();
      const found: boolean[] = [];
      for (let i = 0; i < 3; i++) {
        socket.send(call('get_data'));
        found.push('result' in ((await socket.next()) as object));
      }
      return found;
    };
    expect(await outcomes()).toEqual([true, true, false]);
    expect(await outcomes()).toEqual([true, false, false]);
  });

  it('closes a consumer that does not keep up, and keeps little of what waits for it', async () => {
    server = await startServer({ maxBufferBytes: 1_000_000 });
    const socket = await open();
    socket.send(call('test_subscribe', ['ticks']));
    await socket.next();
    const [subscriber] = subscribers;
    socket.socket.pause();
    const value = 'x'.repeat(100_000);
    let sent = 0;
    // Stops when the socket's own buffers, and then the server's limit, are full.
    while (!subscriber!.closed.aborted && sent < 2_000) {
      subscriber!.emit(value);
      sent++;
      if (sent % 10 === 0) await new Promise(setImmediate);
    }
    expect(subscriber!.closed.aborted).toBe(true);
    expect(sent).toBeLessThan(2_000);
    const closed = socket.closed();
    socket.socket.resume();
    expect([1013, 1006]).toContain((await closed).code);
  });

  it('lets a replay go at the pace of its reader', async () => {
    server = await startServer({ maxBufferBytes: 400_000 });
    const socket = await open();
    socket.send(call('test_subscribe', ['ticks']));
    await socket.next();
    const [subscriber] = subscribers;
    const replay = (async () => {
      for (let i = 0; i < 200; i++) {
        await subscriber!.ready();
        subscriber!.emit('x'.repeat(100_000));
      }
    })();
    for (let i = 0; i < 200; i++) await socket.next();
    await replay;
    expect(subscriber!.closed.aborted).toBe(false);
  });

  it('survives a flood on one connection, answering every call', async () => {
    server = await startServer({ maxInFlight: 8 });
    const socket = await open();
    for (let id = 0; id < 5_000; id++) socket.send(call('sum', [id, 0, 0], id));
    const results = new Set<unknown>();
    for (let i = 0; i < 5_000; i++) results.add(((await socket.next()) as { result: unknown }).result);
    expect(results.size).toBe(5_000);
  });

  it('closes WebSockets that answer no ping, and only those', async () => {
    server = await startServer({ pingIntervalMs: 250 });
    const live = await open();
    const dead = await open();
    dead.send(call('test_subscribe', ['ticks']));
    await dead.next();
    const [subscriber] = subscribers;
    // One that takes nothing from its socket cannot answer.
    dead.socket.pause();
    await once(subscriber!.closed, 'abort');
    live.send(call('get_data'));
    expect(await live.next()).toMatchObject({ result: ['hello', 5] });
  });

  it('closes with clients connected', async () => {
    server = await startServer();
    const socket = await open();
    const closed = socket.closed();
    const request = httpRequest(server.url, { method: 'POST' });
    request.on('error', () => {});
    request.flushHeaders();
    await server.close();
    expect((await closed).code).toBe(1006);
    await expect(fetch(server.url)).rejects.toThrow();
  });
});
