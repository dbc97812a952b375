/** A server with the methods that the examples of the JSON-RPC specification call, and raw clients for it. */

import { once } from 'node:events';
import { WebSocket } from 'ws';
import { z } from 'zod';
import {
  createRpcServer,
  defineMethod,
  defineSubscription,
  RpcCode,
  RpcError,
  type RpcMethod,
  type RpcServer,
  type RpcServerOptions,
  type RpcSubscriber,
  silentLogger,
} from '../src/index.ts';

const result = { name: 'result', description: 'For the test' };

export const exampleMethods: readonly RpcMethod[] = [
  defineMethod({
    name: 'subtract',
    summary: 'minuend - subtrahend',
    params: { minuend: z.number(), subtrahend: z.number() },
    result: { ...result, schema: z.number() },
    handler: ({ minuend, subtrahend }) => minuend - subtrahend,
  }),
  defineMethod({
    name: 'sum',
    summary: 'Sum of three numbers, after a turn of the event loop',
    params: { a: z.number(), b: z.number(), c: z.number() },
    result,
    handler: async ({ a, b, c }) => {
      await new Promise(setImmediate);
      return a + b + c;
    },
  }),
  defineMethod({ name: 'get_data', summary: 'Two values', params: {}, result, handler: () => ['hello', 5] }),
  defineMethod({
    name: 'echo',
    summary: 'Gives back what it got',
    params: { value: z.unknown().optional() },
    result,
    handler: ({ value }) => value,
  }),
  defineMethod({
    name: 'throws',
    summary: 'A bug',
    params: {},
    result,
    handler: () => {
      throw new Error('the secret path is /etc/shadow');
    },
  }),
  defineMethod({
    name: 'refuses',
    summary: 'An expected failure',
    params: {},
    result,
    handler: async () => {
      throw new RpcError(RpcCode.refused, 'no', { code: 'NO', remedy: 'Ask later.' });
    },
  }),
  defineMethod({ name: 'unserializable', summary: 'A bug in a result', params: {}, result, handler: () => 1n }),
];

/** Every live subscriber to `test_subscribe ticks`, for tests to emit to. */
export const subscribers: Set<RpcSubscriber> = new Set();

export const ticks = defineSubscription({
  namespace: 'test',
  name: 'ticks',
  summary: 'Whatever the test emits; the first value at once',
  params: { first: z.number().optional() },
  result,
  subscribe: ({ first }, subscriber) => {
    if (first !== undefined) subscriber.emit(first);
    subscribers.add(subscriber);
    return () => subscribers.delete(subscriber);
  },
});

export function startServer(options: Partial<RpcServerOptions> = {}): Promise<RpcServer> {
  return createRpcServer({
    host: '127.0.0.1',
    port: 0,
    info: { title: 'test', version: '1' },
    methods: exampleMethods,
    subscriptions: [ticks],
    logger: silentLogger,
    ...options,
  });
}

export interface CallJson {
  readonly jsonrpc: '2.0';
  readonly id: unknown;
  readonly method: string;
  readonly params: unknown;
}

export const call = (method: string, params?: unknown, id: unknown = 1): CallJson => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** Undefined when the body is empty. */
  readonly json: unknown;
}

export async function post(url: string, body: string | Uint8Array): Promise<HttpAnswer> {
  const response = await fetch(url, {
    method: 'POST',
    body: body as string,
    headers: { 'content-type': 'application/json' },
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, json: text === '' ? undefined : JSON.parse(text) };
}

/** A WebSocket that keeps what it got, and lets a test await the next message. */
export class TestSocket {
  readonly socket: WebSocket;
  readonly #messages: unknown[] = [];
  #wanted: ((message: unknown) => void)[] = [];

  constructor(url: string) {
    this.socket = new WebSocket(url.replace('http', 'ws'));
    this.socket.on('error', () => {});
    this.socket.on('message', (data) => {
      const message: unknown = JSON.parse(data.toString());
      const wanted = this.#wanted.shift();
      if (wanted === undefined) this.#messages.push(message);
      else wanted(message);
    });
  }

  static async open(url: string): Promise<TestSocket> {
    const opened = new TestSocket(url);
    await once(opened.socket, 'open');
    return opened;
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' || message instanceof Uint8Array ? message : JSON.stringify(message));
  }

  next(): Promise<unknown> {
    const message = this.#messages.shift();
    if (message !== undefined) return Promise.resolve(message);
    return new Promise((resolve) => this.#wanted.push(resolve));
  }

  /** Code and reason with which the server closed it. */
  async closed(): Promise<{ readonly code: number; readonly reason: string }> {
    const [code, reason] = (await once(this.socket, 'close')) as [number, Buffer];
    return { code, reason: reason.toString() };
  }

  close(): void {
    this.socket.terminate();
  }
}

/** 72 requests that are each wrong in a way of its own, with the code that answers them. */
export const malformedRequests: readonly (readonly [text: string, code: number])[] = [
  ...[
    '',
    ' ',
    '{',
    '}',
    '[',
    ']',
    '{"jsonrpc"',
    '{"jsonrpc":"2.0",}',
    '[1,',
    'nul',
    'undefined',
    'NaN',
    "{'jsonrpc':'2.0'}",
    '"unterminated',
    '{"jsonrpc":"2.0","method":"foobar, "params":"bar","baz]',
    '\u0000',
    '\uFEFF{',
    '{"a":01}',
    '{"a":+1}',
    '{"a":.5}',
    '{"a":"\\x"}',
    '{"a":"\n"}',
    '[1 2]',
    '{}{}',
    '// {}',
    '<xml/>',
    'GET / HTTP/1.1',
    '[['.repeat(5_000),
    '{"a":'.repeat(5_000),
    '\ud800',
  ].map((text) => [text, -32700] as const),
  ...[
    '1',
    '"text"',
    'null',
    'true',
    '[]',
    '{}',
    '{"jsonrpc":"1.0","id":1,"method":"subtract"}',
    '{"jsonrpc":2,"id":1,"method":"subtract"}',
    '{"id":1,"method":"subtract"}',
    '{"jsonrpc":"2.0","id":1}',
    '{"jsonrpc":"2.0","id":1,"method":1}',
    '{"jsonrpc":"2.0","id":1,"method":null}',
    '{"jsonrpc":"2.0","id":1,"method":["subtract"]}',
    '{"jsonrpc":"2.0","id":1,"method":{"name":"subtract"}}',
    '{"jsonrpc":"2.0","id":{},"method":"get_data"}',
    '{"jsonrpc":"2.0","id":[],"method":"get_data"}',
    '{"jsonrpc":"2.0","id":true,"method":"get_data"}',
    '{"jsonrpc":"2.0","id":1,"method":"subtract","params":1}',
    '{"jsonrpc":"2.0","id":1,"method":"subtract","params":"bar"}',
    '{"jsonrpc":"2.0","id":1,"method":"subtract","params":true}',
    `{"jsonrpc":"2.0","id":1,"method":${'['.repeat(1_000)}${']'.repeat(1_000)}}`,
  ].map((text) => [text, -32600] as const),
  ...[
    '""',
    '"nope"',
    '"__proto__"',
    '"constructor"',
    '"toString"',
    '"hasOwnProperty"',
    '"subtract "',
    '"SUBTRACT"',
    `"${'x'.repeat(100_000)}"`,
    '"rpc.unknown"',
    '"\\u0000"',
  ].map((name) => [`{"jsonrpc":"2.0","id":1,"method":${name}}`, -32601] as const),
  ...[
    '[]',
    '{}',
    '[1]',
    '[1,"2"]',
    '[null,null]',
    '[1,2,3]',
    '[[],{}]',
    '{"minuend":1}',
    '{"minuend":1,"subtrahend":"2"}',
    '{"minuend":1,"subtrahend":2,"more":3}',
    '{"__proto__":{"minuend":1,"subtrahend":2}}',
    '[1e999,1]',
    '{"0":1,"1":2}',
    `[${'1,'.repeat(50_000)}1]`,
  ].map((params) => [`{"jsonrpc":"2.0","id":1,"method":"subtract","params":${params}}`, -32602] as const),
];
