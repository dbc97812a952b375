/** JSON-RPC 2.0 over HTTP POST and WebSocket on one port. Methods and subscriptions come from tables. */

import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import websocketPlugin from '@fastify/websocket';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { WebSocket } from 'ws';
import {
  MAX_LIVE_SUBSCRIPTIONS,
  MAX_RATE_LIMITED_ADDRESSES,
  MAX_RPC_BATCH_CALLS,
  MAX_RPC_BODY_BYTES,
  MAX_RPC_CONNECTIONS,
  MAX_RPC_OWN_BYTES,
  MAX_RPC_RESPONSE_BYTES,
  MAX_RPC_SHARED_BYTES,
  MAX_SUBSCRIPTIONS_PER_CONNECTION,
  MAX_WEBSOCKET_BUFFER_BYTES,
  MAX_WEBSOCKET_CONNECTIONS,
  MAX_WEBSOCKET_IN_FLIGHT,
  RPC_ANSWER_TIMEOUT_MS,
  RPC_REQUEST_TIMEOUT_MS,
  WEBSOCKET_PING_INTERVAL_MS,
} from '../limits.ts';
import { listenOrExplain } from '../listen.ts';
import type { Logger } from '../logger.ts';
import { type Metrics, noMetrics } from '../metrics.ts';
import { readBody } from './body.ts';
import { RpcCode } from './code.ts';
import { createDispatcher, type Dispatcher, errorAnswer } from './dispatcher.ts';
import { bodyTooLarge, invalidRequest, RpcError, rateLimited, toRpcError } from './error.ts';
import { type ConnectionMemory, type Held, SharedMemory } from './memory.ts';
import type { RpcContext, RpcMethod } from './method.ts';
import type { ServiceInfo } from './open-rpc.ts';
import { AddressBuckets, type RateLimit, TokenBucket } from './rate-limit.ts';
import { type RpcSubscription, subscriptionMethods, tooManyLive } from './subscription.ts';
import { refuseWebSocket, WebSocketSession } from './websocket-session.ts';

export interface RpcServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** The flag that changes the port: named in the error when the port is taken. Default `--rpc-port`. */
  readonly portFlag?: string;
  readonly info: ServiceInfo;
  readonly methods: readonly RpcMethod[];
  readonly subscriptions?: readonly RpcSubscription[];
  /** Routes that answer, with `:name` for what becomes `pathParameters.name`. Default `['/']`. */
  readonly paths?: readonly string[];
  readonly logger: Logger;
  readonly metrics?: Metrics;
  /** Calls by one address, over all of its connections. Absent: not limited. */
  readonly ratePerAddress?: RateLimit;
  /** Calls on one WebSocket connection. Absent: not limited. */
  readonly ratePerConnection?: RateLimit;
  readonly maxBodyBytes?: number;
  readonly maxBatchCalls?: number;
  readonly maxResponseBytes?: number;
  readonly maxSharedBytes?: number;
  readonly answerTimeoutMs?: number;
  readonly maxConnections?: number;
  readonly maxWebSockets?: number;
  readonly maxSubscriptions?: number;
  readonly maxLiveSubscriptions?: number;
  readonly maxBufferBytes?: number;
  readonly maxInFlight?: number;
  readonly pingIntervalMs?: number;
}

export interface RpcServer {
  /** As bound: the real port even if 0 was asked for. */
  readonly port: number;
  /** http://host:port; the same with ws:// for WebSocket. */
  readonly url: string;
  /** Stops listening, ends every connection and resolves when all is closed. */
  close(): Promise<void>;
}

/** Listens and answers. Throws a `SquadError` (`PORT_IN_USE`, `LISTEN_FAILED`) if it cannot bind. */
export async function createRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const server = new HttpAndWebSocketServer(options);
  return server.start();
}

const CORS_HEADERS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'POST, GET, OPTIONS',
  'access-control-allow-headers': 'content-type, authorization',
  'access-control-max-age': '86400',
};
const JSON_TYPE = 'application/json; charset=utf-8';

class HttpAndWebSocketServer {
  readonly #options: RpcServerOptions;
  readonly #dispatcher: Dispatcher;
  readonly #app: FastifyInstance;
  readonly #addresses: AddressBuckets | undefined;
  readonly #maxWebSockets: number;
  /** What a peer has to answer its last ping with. It cannot know it before it has read all that was sent before. */
  readonly #expectedPongs = new WeakMap<WebSocket, string>();
  readonly #sockets = new Set<WebSocket>();
  readonly #memory: SharedMemory;
  readonly #connections = new WeakMap<Socket, ConnectionMemory>();
  readonly #held = new WeakMap<FastifyRequest, Held>();
  #subscriptions = 0;

  constructor(options: RpcServerOptions) {
    this.#options = options;
    const metrics = options.metrics ?? noMetrics;
    this.#memory = new SharedMemory(options.maxSharedBytes ?? MAX_RPC_SHARED_BYTES, MAX_RPC_OWN_BYTES);
    this.#maxWebSockets = options.maxWebSockets ?? MAX_WEBSOCKET_CONNECTIONS;
    this.#addresses = options.ratePerAddress && new AddressBuckets(options.ratePerAddress, MAX_RATE_LIMITED_ADDRESSES);
    this.#dispatcher = createDispatcher({
      info: options.info,
      methods: [...options.methods, ...subscriptionMethods(options.subscriptions ?? [])],
      logger: options.logger,
      maxBatchCalls: options.maxBatchCalls ?? MAX_RPC_BATCH_CALLS,
      maxResponseBytes: options.maxResponseBytes ?? MAX_RPC_RESPONSE_BYTES,
      metrics,
    });
    metrics.gauge({
      name: 'squad_rpc_shared_memory_bytes',
      help: 'Bodies and answers held beyond what each connection has for itself',
      read: () => this.#memory.takenBytes,
    });
    metrics.gauge({
      name: 'squad_rpc_websocket_connections',
      help: 'Open WebSocket connections',
      read: () => this.#sockets.size,
    });
    metrics.gauge({
      name: 'squad_rpc_live_subscriptions',
      help: 'Live WebSocket subscriptions',
      read: () => this.#subscriptions,
    });
    this.#app = this.#createApp();
  }

  async start(): Promise<RpcServer> {
    const { host, port, portFlag = '--rpc-port' } = this.#options;
    const url = await listenOrExplain(this.#app, { host, port, portFlag, what: 'the JSON-RPC server' });
    const pings = setInterval(() => this.#pingAll(), this.#options.pingIntervalMs ?? WEBSOCKET_PING_INTERVAL_MS);
    pings.unref();
    return {
      ...url,
      close: async () => {
        clearInterval(pings);
        for (const socket of this.#sockets) socket.terminate();
        this.#app.server.closeAllConnections();
        await this.#app.close();
      },
    };
  }

  #createApp(): FastifyInstance {
    const { maxBodyBytes = MAX_RPC_BODY_BYTES, maxConnections = MAX_RPC_CONNECTIONS } = this.#options;
    const app = fastify({
      bodyLimit: maxBodyBytes,
      requestTimeout: RPC_REQUEST_TIMEOUT_MS,
      forceCloseConnections: true,
      // A path is short; what is longer is no path of ours.
      routerOptions: { maxParamLength: 64 },
      // A path that the router cannot read: it has no part in hooks and handlers, nor in the handler of errors.
      frameworkErrors: (error, _request, reply) => {
        this.#answerUnknownPath(reply as FastifyReply, error.statusCode ?? 400);
      },
      logger: false,
    });
    app.server.maxConnections = maxConnections;
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', async (request: FastifyRequest, stream: IncomingMessage) => {
      if (Number(request.headers['content-length']) > maxBodyBytes) throw bodyTooLarge(maxBodyBytes);
      return readBody(stream, maxBodyBytes, this.#heldBy(request));
    });
    app.addHook('onRequest', (request, reply, done) => {
      const held = this.#memoryOf(request.raw.socket).hold();
      this.#held.set(request, held);
      reply.raw.once('close', () => held.release());
      done();
    });
    app.setErrorHandler((error, _request, reply) => this.#answerTransportError(error, reply));
    app.setNotFoundHandler((_request, reply) => this.#answerUnknownPath(reply, 404));
    app.register(websocketPlugin, {
      options: { maxPayload: maxBodyBytes, perMessageDeflate: false },
      errorHandler: (error, socket) => this.#onSocketError(error, socket),
    });
    // Routes have to come after the plugin is loaded.
    app.register(async (routes) => {
      for (const url of this.#options.paths ?? ['/']) this.#addRoutes(routes, url);
    });
    return app;
  }

  #addRoutes(app: FastifyInstance, url: string): void {
    app.options(url, (_request, reply) => {
      reply.headers(CORS_HEADERS).code(204).send();
    });
    app.post(url, (request, reply) => this.#post(request, reply));
    app.route({
      method: 'GET',
      url,
      exposeHeadRoute: false,
      handler: (_request, reply) => {
        const error = invalidRequest('JSON-RPC over HTTP takes POST; a WebSocket connects to this same address');
        send(reply.code(405).header('allow', 'POST, OPTIONS'), errorAnswer(null, error));
      },
      wsHandler: (socket, request) => this.#accept(socket, request),
    });
  }

  #post(request: FastifyRequest, reply: FastifyReply): FastifyReply | Promise<FastifyReply> {
    const { ip } = request;
    const retryAfterMs = this.#addresses?.wait(ip, 1, Date.now()) ?? 0;
    if (retryAfterMs > 0) return refuseRate(reply, retryAfterMs);
    if (typeof request.body !== 'string' || request.body === '') {
      return send(reply.code(400), errorAnswer(null, invalidRequest('the body is empty')));
    }
    const context: RpcContext = {
      transport: 'http',
      remoteAddress: ip,
      pathParameters: (request.params ?? {}) as Record<string, string>,
      charge: (tokens) => this.#addresses?.take(ip, tokens, Date.now()) ?? 0,
      subscriptions: undefined,
    };
    const text = request.body;
    // The request lives until it is answered; its text is of no use any more once it is read.
    request.body = undefined;
    const answer = this.#dispatcher.handle(text, context, this.#heldBy(request));
    return answer instanceof Promise ? answer.then((text) => this.#send(reply, text)) : this.#send(reply, answer);
  }

  /** A caller that does not read must not keep for ever what others could have. */
  #send(reply: FastifyReply, answer: string | undefined): FastifyReply {
    if (answer !== undefined && answer.length > MAX_RPC_OWN_BYTES) {
      const timeoutMs = this.#options.answerTimeoutMs ?? RPC_ANSWER_TIMEOUT_MS;
      const timer = setTimeout(() => reply.raw.destroy(), timeoutMs).unref();
      reply.raw.once('close', () => clearTimeout(timer));
    }
    return send(reply, answer);
  }

  #memoryOf(socket: Socket): ConnectionMemory {
    let memory = this.#connections.get(socket);
    if (memory === undefined) {
      const created = this.#memory.connection();
      this.#connections.set(socket, created);
      socket.once('close', () => created.close());
      memory = created;
    }
    return memory;
  }

  #heldBy(request: FastifyRequest): Held {
    const held = this.#held.get(request);
    if (held === undefined) throw new Error('a request without its memory');
    return held;
  }

  #accept(socket: WebSocket, request: FastifyRequest): void {
    if (this.#sockets.size >= this.#maxWebSockets) {
      refuseWebSocket(socket, this.#maxWebSockets);
      return;
    }
    const { ip } = request;
    const { logger, ratePerConnection } = this.#options;
    const bucket = ratePerConnection && new TokenBucket(ratePerConnection, Date.now());
    const charge: RpcContext['charge'] = (tokens) => {
      const nowMs = Date.now();
      return bucket?.take(tokens, nowMs) || this.#addresses?.take(ip, tokens, nowMs) || 0;
    };
    this.#sockets.add(socket);
    socket.on('pong', (data) => {
      if (data.toString('hex') === this.#expectedPongs.get(socket)) this.#expectedPongs.delete(socket);
    });
    socket.on('close', () => this.#sockets.delete(socket));
    new WebSocketSession({
      socket,
      stream: request.raw.socket,
      memory: this.#memoryOf(request.raw.socket),
      dispatcher: this.#dispatcher,
      limits: {
        maxSubscriptions: this.#options.maxSubscriptions ?? MAX_SUBSCRIPTIONS_PER_CONNECTION,
        maxBufferBytes: this.#options.maxBufferBytes ?? MAX_WEBSOCKET_BUFFER_BYTES,
        maxInFlight: this.#options.maxInFlight ?? MAX_WEBSOCKET_IN_FLIGHT,
      },
      context: {
        transport: 'websocket',
        remoteAddress: ip,
        pathParameters: (request.params ?? {}) as Record<string, string>,
        charge,
      },
      logger,
      mayOpen: () => {
        const limit = this.#options.maxLiveSubscriptions ?? MAX_LIVE_SUBSCRIPTIONS;
        if (this.#subscriptions >= limit) throw tooManyLive('subscriptions', limit);
      },
      onSubscriptions: (change) => {
        this.#subscriptions += change;
      },
    });
  }

  #pingAll(): void {
    for (const socket of this.#sockets) {
      if (this.#expectedPongs.has(socket)) {
        socket.terminate();
        continue;
      }
      const expected = randomBytes(8);
      this.#expectedPongs.set(socket, expected.toString('hex'));
      socket.ping(expected);
    }
  }

  /** Frames that break the WebSocket protocol or its size limit: the library closes with the right code (1002, 1009). */
  #onSocketError(error: Error, socket: WebSocket): void {
    this.#options.logger.debug({ reason: error.message }, 'a WebSocket connection failed');
    // The close handshake is under way; a peer that never answers it must not stay.
    setTimeout(() => socket.terminate(), 1_000).unref();
  }

  #answerUnknownPath(reply: FastifyReply, statusCode: number): void {
    const paths = (this.#options.paths ?? ['/']).join(', ');
    const error = invalidRequest(
      `this path does not answer; the paths are ${paths}`,
      `Use one of the paths: ${paths}.`,
    );
    send(reply.code(statusCode), errorAnswer(null, error));
  }

  #answerTransportError(error: unknown, reply: FastifyReply): void {
    const { statusCode = 500, message } = error as { statusCode?: number; message: string };
    if (error instanceof RpcError) {
      send(reply.code(error.code === RpcCode.limitExceeded ? 503 : 413), errorAnswer(null, error));
    } else if (statusCode < 500) {
      send(reply.code(statusCode), errorAnswer(null, invalidRequest(message)));
    } else {
      this.#options.logger.error({ err: error }, 'a JSON-RPC request failed');
      send(reply.code(500), errorAnswer(null, toRpcError(error)));
    }
  }
}

function send(reply: FastifyReply, answer: string | undefined): FastifyReply {
  reply.headers(CORS_HEADERS);
  // Notifications are not answered (section 4.1).
  return answer === undefined ? reply.code(204).send() : reply.header('content-type', JSON_TYPE).send(answer);
}

function refuseRate(reply: FastifyReply, retryAfterMs: number): FastifyReply {
  reply.code(429).header('retry-after', String(Math.ceil(retryAfterMs / 1000)));
  return send(reply, errorAnswer(null, rateLimited(retryAfterMs)));
}
