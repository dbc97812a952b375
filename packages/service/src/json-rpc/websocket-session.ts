/** One WebSocket connection: its calls in flight, its subscriptions, and what it may keep waiting in memory. */

import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RawData, WebSocket } from 'ws';
import type { Logger } from '../logger.ts';
import { RpcCode } from './code.ts';
import type { Dispatcher } from './dispatcher.ts';
import { errorAnswer } from './dispatcher.ts';
import { RpcError, toRpcError } from './error.ts';
import type { ConnectionMemory, Held } from './memory.ts';
import type { RpcContext, RpcSubscriber, SubscriptionHost, Unsubscribe } from './method.ts';

export interface SessionLimits {
  readonly maxSubscriptions: number;
  readonly maxBufferBytes: number;
  readonly maxInFlight: number;
}

/** Close codes of RFC 6455: the server will not serve this connection further. */
const CLOSE_TRY_AGAIN_LATER = 1013;
/** Time for a close frame to get out before a connection that takes nothing is cut. */
const CLOSE_GRACE_MS = 1_000;
/** How often a replay looks whether its reader has caught up. */
const READY_POLL_MS = 10;
/** Gathered bytes that do not wait for the end of the turn: they must not count as what a slow consumer has left. */
const WRITE_BYTES = 64 * 1024;

interface Outgoing {
  readonly text: string;
  /** Released once it is sent. */
  readonly held: Held;
}

interface LiveSubscription {
  readonly abort: AbortController;
  unsubscribe: Unsubscribe | undefined;
  /** Notifications that wait until the client has been told the id; undefined once it has. */
  early: Outgoing[] | undefined;
  earlyBytes: number;
}

/** Handles everything that arrives on the socket until it closes. */
export class WebSocketSession {
  readonly #socket: WebSocket;
  readonly #stream: Socket;
  readonly #dispatcher: Dispatcher;
  readonly #limits: SessionLimits;
  readonly #memory: ConnectionMemory;
  readonly #context: Omit<RpcContext, 'subscriptions'>;
  readonly #logger: Logger;
  readonly #subscriptions = new Map<string, LiveSubscription>();
  readonly #onCount: (change: number) => void;
  readonly #mayOpen: () => void;
  /** What has come of the next message. */
  #receiving: Held;
  #inFlight = 0;
  #closed = false;
  /** What is sent waits for the end of this turn. */
  #isGathering = false;

  constructor(options: {
    readonly socket: WebSocket;
    /** What the WebSocket reads from and writes to. */
    readonly stream: Socket;
    readonly memory: ConnectionMemory;
    readonly dispatcher: Dispatcher;
    readonly limits: SessionLimits;
    readonly context: Omit<RpcContext, 'subscriptions'>;
    readonly logger: Logger;
    /** Throws `RpcError` if the server holds as many subscriptions as it may. */
    readonly mayOpen: () => void;
    /** Told +1 and -1 as subscriptions come and go. */
    readonly onSubscriptions: (change: number) => void;
  }) {
    this.#socket = options.socket;
    this.#stream = options.stream;
    this.#dispatcher = options.dispatcher;
    this.#limits = options.limits;
    this.#logger = options.logger;
    this.#onCount = options.onSubscriptions;
    this.#mayOpen = options.mayOpen;
    this.#context = options.context;
    this.#memory = options.memory;
    this.#receiving = options.memory.hold();
    // Counted before the WebSocket sees it, and may take it for the end of a message.
    options.stream.prependListener('data', (bytes: Buffer) => this.#onBytes(bytes.length));
    this.#socket.on('message', (data) => this.#onMessage(data));
    this.#socket.on('close', () => this.#onClose());
  }

  #onBytes(bytes: number): void {
    if (!this.#closed && !this.#receiving.take(bytes)) this.#drop('too much is being received and sent at present');
  }

  #onMessage(data: RawData): void {
    if (this.#closed) return;
    const held = this.#receiving;
    this.#receiving = this.#memory.hold();
    this.#inFlight++;
    if (this.#inFlight >= this.#limits.maxInFlight) this.#socket.pause();
    const opened: LiveSubscription[] = [];
    const subscriptions: SubscriptionHost = {
      open: (notification, open) => this.#open(notification, open, opened),
      close: (id) => this.#close(id),
    };
    const answer = this.#dispatcher.handle(data.toString(), { ...this.#context, subscriptions }, held);
    if (answer instanceof Promise) void answer.then((text) => this.#answered(text, held, opened));
    else this.#answered(answer, held, opened);
  }

  #answered(text: string | undefined, held: Held, opened: readonly LiveSubscription[]): void {
    if (text === undefined) held.release();
    else this.#send({ text, held });
    for (const live of opened) this.#release(live);
    this.#inFlight--;
    if (this.#inFlight < this.#limits.maxInFlight && this.#socket.isPaused) this.#socket.resume();
  }

  async #open(
    notification: string,
    open: (subscriber: RpcSubscriber) => Unsubscribe | Promise<Unsubscribe>,
    opened: LiveSubscription[],
  ): Promise<string> {
    // The rest of a batch is still carried out: what it opened now would never be closed.
    if (this.#closed) throw connectionClosed();
    if (this.#subscriptions.size >= this.#limits.maxSubscriptions) throw tooMany(this.#limits.maxSubscriptions);
    this.#mayOpen();
    const id = `0x${randomBytes(16).toString('hex')}`;
    const live: LiveSubscription = { abort: new AbortController(), unsubscribe: undefined, early: [], earlyBytes: 0 };
    this.#subscriptions.set(id, live);
    this.#onCount(1);
    try {
      const unsubscribe = await open(this.#subscriber(id, live, notification));
      if (live.abort.signal.aborted) unsubscribe();
      else live.unsubscribe = unsubscribe;
    } catch (thrown) {
      this.#close(id);
      throw thrown;
    }
    opened.push(live);
    return id;
  }

  #close(id: string): boolean {
    const live = this.#subscriptions.get(id);
    if (live === undefined) return false;
    this.#subscriptions.delete(id);
    this.#onCount(-1);
    for (const { held } of live.early ?? []) held.release();
    live.early = undefined;
    live.abort.abort();
    try {
      live.unsubscribe?.();
    } catch (thrown) {
      this.#logger.error({ err: thrown }, 'ending a subscription threw');
    }
    return true;
  }

  #subscriber(id: string, live: LiveSubscription, notification: string): RpcSubscriber {
    const head = `{"jsonrpc":"2.0","method":"${notification}","params":{"subscription":"${id}","result":`;
    return {
      closed: live.abort.signal,
      emit: (result) => {
        if (live.abort.signal.aborted) return;
        const text = `${head}${textOf(result)}}}`;
        const held = this.#memory.hold();
        if (!held.take(text.length)) return this.#dropSlowConsumer();
        if (live.early === undefined) return this.#send({ text, held });
        if (live.earlyBytes > this.#limits.maxBufferBytes) return this.#dropSlowConsumer();
        live.early.push({ text, held });
        live.earlyBytes += text.length;
      },
      ready: async () => {
        const half = this.#limits.maxBufferBytes / 2;
        while (!live.abort.signal.aborted && this.#socket.bufferedAmount + live.earlyBytes > half) {
          await sleep(READY_POLL_MS);
        }
      },
    };
  }

  #release(live: LiveSubscription): void {
    const early = live.early ?? [];
    live.early = undefined;
    live.earlyBytes = 0;
    for (const outgoing of early) this.#send(outgoing);
  }

  #send({ text, held }: Outgoing): void {
    if (this.#closed) return;
    // What waited before counts: a message that is larger than the buffer is no fault of a consumer that has read all others.
    if (this.#socket.bufferedAmount > this.#limits.maxBufferBytes) return this.#dropSlowConsumer();
    this.#gather();
    this.#socket.send(text, () => held.release());
    if (this.#stream.writableLength >= WRITE_BYTES) this.#write();
  }

  /** What is sent in one turn is written in one piece: the system's call costs several times what a notification does. */
  #gather(): void {
    if (this.#isGathering) return;
    this.#isGathering = true;
    this.#stream.cork();
    process.nextTick(() => this.#write());
  }

  #write(): void {
    if (!this.#isGathering) return;
    this.#isGathering = false;
    this.#stream.uncork();
  }

  #dropSlowConsumer(): void {
    this.#drop('too slow: MAX_WEBSOCKET_BUFFER_BYTES reached, or no room for more');
  }

  #drop(reason: string): void {
    if (this.#closed) return;
    this.#logger.warn({ remoteAddress: this.#context.remoteAddress, reason }, 'a WebSocket connection is closed');
    this.#onClose();
    this.#socket.close(CLOSE_TRY_AGAIN_LATER, reason);
    setTimeout(() => this.#socket.terminate(), CLOSE_GRACE_MS).unref();
  }

  #onClose(): void {
    this.#closed = true;
    for (const id of [...this.#subscriptions.keys()]) this.#close(id);
  }
}

/** Texts of results, for as long as somebody holds the result: what goes to many subscribers is written out once. */
const texts = new WeakMap<object, string>();

function textOf(result: unknown): string {
  if (typeof result !== 'object' || result === null) return JSON.stringify(result) ?? 'null';
  let text = texts.get(result);
  if (text === undefined) {
    text = JSON.stringify(result);
    texts.set(result, text);
  }
  return text;
}

/** Refuses a connection that was already upgraded. */
export function refuseWebSocket(socket: WebSocket, limit: number): void {
  socket.send(errorAnswer(null, toRpcError(tooManyConnections(limit))));
  socket.close(CLOSE_TRY_AGAIN_LATER, 'too many connections');
}

function connectionClosed(): RpcError {
  return new RpcError(RpcCode.unavailable, 'the connection is closed', {
    code: 'CONNECTION_CLOSED',
    remedy: 'Connect again.',
  });
}

function tooManyConnections(limit: number): RpcError {
  return new RpcError(RpcCode.limitExceeded, `this endpoint holds ${limit} WebSocket connections, its limit`, {
    code: 'TOO_MANY_CONNECTIONS',
    remedy: 'Try again later, or use another endpoint.',
    limit,
  });
}

function tooMany(limit: number): RpcError {
  return new RpcError(RpcCode.limitExceeded, `this connection has ${limit} subscriptions, its limit`, {
    code: 'TOO_MANY_SUBSCRIPTIONS',
    remedy: 'Unsubscribe from one first, or open another connection.',
    limit,
  });
}
