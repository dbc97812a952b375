/**
 * A Nitro sequencer feed: WebSocket, as https://github.com/OffchainLabs/nitro, wsbroadcastserver/wsbroadcastserver.go has it.
 * A node of an Orbit chain takes it as `--node.feed.input.url`.
 *
 * Only messages whose order is final are served: a feed cannot take anything back. They come from the store, all of them, from
 * the sequence number that the client asks for; a client is given its next frame when it has taken the one before, so a slow
 * one costs one frame of memory and delays nobody. No compression is offered: Nitro's clients go on without, and its own has
 * a dictionary that no other client knows.
 */

import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Logger, listenOrExplain, type Metrics } from '@squad/service';
import { WebSocketServer } from 'ws';
import type { DerivationEvents } from '../../derivation/events.ts';
import { FeedSession } from './feed-session.ts';
import {
  FEED_HANDSHAKE_TIMEOUT_MS,
  FEED_PING_MS,
  MAX_FEED_CLIENT_BYTES,
  MAX_FEED_CLIENTS,
  MAX_FEED_FRAME_BYTES,
  MAX_FEED_FRAME_MESSAGES,
} from './limits.ts';
import { encodeBroadcast, encodeFeedMessage, type NitroMessage, type SignMessage } from './message.ts';

/** Of the protocol, not of Nitro. Clients refuse another server version, servers a lower client version. */
const FEED_VERSION = 2;
const CLIENT_VERSION_HEADER = 'arbitrum-feed-client-version';
const REQUESTED_HEADER = 'arbitrum-requested-sequence-number';
const LIVENESS_PATH = 'livenessprobe';
/** Message 0 initialises the chain: it is in every node's own configuration, or on L1. */
const FIRST_SEQUENCE_NUMBER = 1;

/** Durable messages: all numbers from 1 to that of the latest. */
export interface NitroMessages {
  readonly latest: { readonly number: number };
  messageAt(number: number): NitroMessage | undefined;
}

export interface NitroFeedConfig {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly chainId: number;
  readonly messages: NitroMessages;
  readonly events: Pick<DerivationEvents, 'on'>;
  /** Without it messages are not signed. */
  readonly sign?: SignMessage | undefined;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly pingMs?: number;
}

export interface NitroFeed {
  /** ws://host:port */
  readonly url: string;
  close(): Promise<void>;
}

/** Listens and serves. Throws SquadError `PORT_IN_USE` or `LISTEN_FAILED`. */
export async function createNitroFeed(config: NitroFeedConfig): Promise<NitroFeed> {
  const server = new NitroFeedServer(config);
  return { url: await server.start(), close: () => server.close() };
}

class NitroFeedServer {
  readonly #config: NitroFeedConfig;
  readonly #http: Server;
  readonly #webSockets: WebSocketServer;
  readonly #sessions = new Set<FeedSession>();
  /** The newest message alone, encoded: what every client that is up to date is given. */
  #newest: { readonly number: number; readonly text: string } | undefined;
  #unsubscribe = () => {};
  #pinging: NodeJS.Timeout | undefined;

  constructor(config: NitroFeedConfig) {
    this.#config = config;
    this.#webSockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: MAX_FEED_CLIENT_BYTES,
      clientTracking: false,
    });
    this.#webSockets.on('headers', (headers) => {
      headers.push(`Arbitrum-Feed-Server-Version: ${FEED_VERSION}`, `Arbitrum-Chain-Id: ${config.chainId}`);
    });
    this.#http = createServer(
      { headersTimeout: FEED_HANDSHAKE_TIMEOUT_MS, requestTimeout: FEED_HANDSHAKE_TIMEOUT_MS },
      (request, response) => {
        if (request.url?.includes(LIVENESS_PATH)) response.end();
        else response.writeHead(426, { upgrade: 'websocket' }).end('This is a Nitro feed: connect by WebSocket.\n');
      },
    );
    this.#http.maxConnections = 2 * MAX_FEED_CLIENTS;
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    config.metrics.gauge({
      name: 'squad_nitro_feed_clients',
      help: 'Open connections to the Nitro feed',
      read: () => this.#sessions.size,
    });
  }

  async start(): Promise<string> {
    const { host, port, events, pingMs = FEED_PING_MS } = this.#config;
    const { url } = await listenOrExplain(bindable(this.#http), {
      host,
      port,
      portFlag: '--nitro-feed-port',
      what: 'the Nitro feed',
    });
    this.#unsubscribe = events.on('latest', () => this.#pump());
    this.#pinging = setInterval(() => {
      for (const session of this.#sessions) session.ping();
    }, pingMs);
    return url.replace(/^http/, 'ws');
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    clearInterval(this.#pinging);
    for (const session of this.#sessions) session.terminate();
    this.#http.closeAllConnections();
    await new Promise((closed) => this.#http.close(closed));
  }

  #pump(): void {
    for (const session of this.#sessions) session.pump();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    if (request.url?.includes(LIVENESS_PATH)) return refuse(socket, '200 OK', '');
    if (this.#sessions.size >= MAX_FEED_CLIENTS) {
      return refuse(socket, '429 Too Many Requests', `The feed has its ${MAX_FEED_CLIENTS} clients: use a relay.`);
    }
    const version = unsigned(request.headers[CLIENT_VERSION_HEADER]);
    if (version === 'malformed' || (version !== undefined && version < FEED_VERSION)) {
      return refuse(socket, '400 Bad Request', `Arbitrum-Feed-Client-Version must be ${FEED_VERSION} or above.`);
    }
    const requested = unsigned(request.headers[REQUESTED_HEADER]) ?? 0;
    if (requested === 'malformed') {
      return refuse(socket, '400 Bad Request', 'Arbitrum-Requested-Sequence-Number must be an unsigned integer.');
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      const session = new FeedSession({
        socket: webSocket,
        next: Math.max(requested, FIRST_SEQUENCE_NUMBER),
        frame: (from) => this.#frame(from),
        onClosed: () => this.#sessions.delete(session),
        onFailed: (error) => this.#config.logger.error({ err: error }, 'a Nitro feed client was cut off'),
      });
      this.#sessions.add(session);
      session.pump();
    });
  }

  /** The next frame of whoever wants the messages from a number on; undefined if there are none yet. */
  #frame(from: number): { readonly text: string; readonly next: number } | undefined {
    const { messages, chainId, sign } = this.#config;
    const newest = messages.latest.number;
    if (from > newest) return undefined;
    if (this.#newest?.number === from) return { text: this.#newest.text, next: from + 1 };
    const parts: string[] = [];
    let bytes = 0;
    for (let number = from; number <= newest; number++) {
      const message = messages.messageAt(number);
      if (message === undefined) throw new Error(`message ${number} is not in the store`);
      parts.push(encodeFeedMessage(message, chainId, sign));
      bytes += message.l2Message.length;
      if (parts.length >= MAX_FEED_FRAME_MESSAGES || bytes >= MAX_FEED_FRAME_BYTES) break;
    }
    const text = encodeBroadcast(parts);
    if (from === newest) this.#newest = { number: newest, text };
    return { text, next: from + parts.length };
  }
}

/** As Go's ParseUint with base 0 reads what Nitro's clients send: decimal, or 0x. */
function unsigned(value: string | string[] | undefined): number | undefined | 'malformed' {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !/^(0x[0-9a-f]{1,16}|[0-9]{1,20})$/i.test(value)) return 'malformed';
  return BigInt(value) < 2n ** 64n ? Number(value) : 'malformed';
}

function refuse(socket: Duplex, status: string, reason: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: ${reason.length}\r\n\r\n${reason}`);
}

function bindable(server: Server) {
  return {
    server,
    listen: (at: { readonly host: string; readonly port: number }) =>
      new Promise((listening, failed) => {
        server.once('error', failed);
        server.listen({ ...at }, () => listening(server.off('error', failed)));
      }),
    close: async () => server.close(),
  };
}
