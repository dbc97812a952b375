/**
 * Checks EVM transactions off the main thread. Recovering a sender takes 0.2 ms: a thousand a second would take a fifth of
 * the event loop's time from consensus. Few at a time are checked in place, as that is faster than a worker's round trip.
 *
 * Rollups take turns, and each has its share of what may wait: one that sends more than can be checked delays only itself.
 * A rollup's outcomes are handed out in the order in which its transactions came, whichever thread was faster: a sender's
 * nonces must reach the lane in the order in which it sent them.
 */

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type Logger, TokenBucket } from '@squad/service';
import { encodeBody, err, type Result } from '@squad/types';
import { isWithinShare } from '../share.ts';
import { type AdmittedEvm, admitEvm, sizeFault } from './admit-evm.ts';
import type { EvmRules } from './evm-rules.ts';
import {
  BUSY_RETRY_MS,
  INLINE_BELOW_TRANSACTIONS,
  MAX_ADMISSION_THREADS,
  MAX_INLINE_PER_SECOND,
  MAX_INLINE_PER_TURN,
  MAX_MESSAGES_PER_WORKER,
  MAX_TRANSACTIONS_PER_MESSAGE,
  MAX_WAITING_TRANSACTIONS,
  MAX_WORKER_DEATHS,
} from './limits.ts';
import { admissionBusy, type Rejection } from './rejection.ts';
import {
  type CheckAnswer,
  type CheckRequest,
  unpackAnswer,
  WORKER_READY,
  type WorkerMessage,
} from './worker-protocol.ts';

export type EvmOutcome = Result<AdmittedEvm, Rejection>;

export interface EvmPoolOptions {
  readonly rules: EvmRules;
  readonly logger: Logger;
  /** Default: one less than there are cores, at least 1; 0 checks everything in place. */
  readonly threads?: number;
  /** Default `MAX_WAITING_TRANSACTIONS`. */
  readonly maxWaiting?: number;
  /** Default: a thread of `worker.ts`. */
  readonly startWorker?: () => Worker;
  /** Told where transactions were checked. */
  readonly onChecked?: (where: 'inline' | 'worker', transactions: number) => void;
}

interface Item {
  readonly line: Line;
  readonly raw: Uint8Array;
  readonly settle: (outcome: EvmOutcome) => void;
  /** Set once it is checked; handed out when all before it are. */
  outcome: EvmOutcome | undefined;
}

/** What came of one rollup. */
interface Line {
  readonly chainId: number;
  /** Not sent to a worker yet. */
  queue: Item[];
  /** All that is not handed out yet, oldest at `head`. */
  order: Item[];
  head: number;
}

interface Thread {
  readonly worker: Worker;
  /** Messages that were sent and not answered, by id. */
  readonly sent: Map<number, readonly Item[]>;
  /** It has said that it is loaded. */
  ready: boolean;
}

export class EvmPool {
  readonly #options: EvmPoolOptions;
  readonly #maxThreads: number;
  readonly #maxWaiting: number;
  readonly #threads: Thread[] = [];
  readonly #inlineBudget = new TokenBucket(
    { perSecond: MAX_INLINE_PER_SECOND, burst: INLINE_BELOW_TRANSACTIONS },
    Date.now(),
  );
  /** By chain id; the next one's turn first. */
  readonly #lines = new Map<number, Line>();
  /** Not sent to a worker yet, of all lines. */
  #queued = 0;
  /** Not handed out yet, of all lines. */
  #waiting = 0;
  #flushing = false;
  #nextId = 0;
  #deaths = 0;
  #closed = false;

  constructor(options: EvmPoolOptions) {
    this.#options = options;
    const threads = options.threads ?? Math.max(1, availableParallelism() - 1);
    this.#maxThreads = Math.min(threads, MAX_ADMISSION_THREADS);
    this.#maxWaiting = options.maxWaiting ?? MAX_WAITING_TRANSACTIONS;
  }

  /** Transactions that are not checked yet. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Workers that are loaded. */
  get readyThreads(): number {
    return this.#threads.filter(({ ready }) => ready).length;
  }

  /** One outcome for each, in order. Never rejects. */
  check(chainId: number, transactions: readonly Uint8Array[]): Promise<EvmOutcome[]> {
    return new Promise((resolve) => {
      const outcomes = new Array<EvmOutcome>(transactions.length);
      let open = transactions.length;
      if (open === 0) resolve(outcomes);
      transactions.forEach((raw, index) => {
        this.#enqueue(chainId, raw, (outcome) => {
          outcomes[index] = outcome;
          open--;
          if (open === 0) resolve(outcomes);
        });
      });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
    this.#threads.length = 0;
    this.#queued = 0;
    for (const line of [...this.#lines.values()]) {
      line.queue = [];
      for (const item of line.order.slice(line.head)) item.outcome ??= err(busy(line));
      this.#handOut(line);
    }
  }

  #enqueue(chainId: number, raw: Uint8Array, settle: Item['settle']): void {
    const fault = sizeFault(raw);
    if (fault !== undefined) return settle(err(fault));
    const line = this.#lines.get(chainId) ?? { chainId, queue: [], order: [], head: 0 };
    if (this.#closed || !isWithinShare(this.#maxWaiting, this.#waiting, waitingIn(line), 1)) {
      return settle(err(busy(line)));
    }
    const item: Item = { line, raw, settle, outcome: undefined };
    line.order.push(item);
    line.queue.push(item);
    this.#lines.set(chainId, line);
    this.#queued++;
    this.#waiting++;
    this.#flushSoon();
  }

  /** All that arrives in this turn of the event loop, over all connections, goes together. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#queued === 0) return;
    if (this.#isInline()) return this.#checkSomeInline();
    this.#startThreads();
    while (this.#queued > 0) {
      const thread = this.#freeThread();
      if (thread === undefined) break;
      this.#send(thread, this.#takeMessage());
    }
    // A worker takes some tenths of a second to load: the first transactions do not wait for it.
    if (!this.#threads.some(({ ready }) => ready)) this.#checkSomeInline();
  }

  #isInline(): boolean {
    if (this.#maxThreads === 0 || this.#deaths >= MAX_WORKER_DEATHS) return true;
    // Behind others that a worker has, it would have to wait for them anyway.
    if (this.#queued >= INLINE_BELOW_TRANSACTIONS || this.#waiting > this.#queued) return false;
    return this.#inlineBudget.take(this.#queued, Date.now()) === 0;
  }

  #checkSomeInline(): void {
    for (let left = MAX_INLINE_PER_TURN; left > 0 && this.#queued > 0; ) {
      const items = this.#take(Math.min(left, INLINE_BELOW_TRANSACTIONS));
      this.#checkInline(items);
      left -= items.length;
    }
    if (this.#queued > 0) this.#flushSoon();
  }

  #checkInline(items: readonly Item[]): void {
    for (const item of items) item.outcome = admitEvm(item.line.chainId, item.raw, this.#options.rules);
    this.#options.onChecked?.('inline', items.length);
    this.#handOutOf(items);
  }

  #handOutOf(items: readonly Item[]): void {
    for (const line of new Set(items.map((item) => item.line))) this.#handOut(line);
  }

  /** Settles whatever has an outcome, up to the first that has none. */
  #handOut(line: Line): void {
    for (let item = line.order[line.head]; item?.outcome !== undefined; item = line.order[line.head]) {
      line.head++;
      this.#waiting--;
      item.settle(item.outcome);
    }
    if (line.head === line.order.length) this.#lines.delete(line.chainId);
    if (line.head < line.order.length / 2) return;
    line.order = line.order.slice(line.head);
    line.head = 0;
  }

  /** A run of transactions of the rollup whose turn it is; shares the queue fairly between the threads. */
  #takeMessage(): Item[] {
    const share = Math.ceil(this.#queued / this.#maxThreads);
    return this.#take(Math.min(MAX_TRANSACTIONS_PER_MESSAGE, Math.max(INLINE_BELOW_TRANSACTIONS, share)));
  }

  /** Up to so many of the first line that has any, whose next turn is after the others'. */
  #take(most: number): Item[] {
    for (const [chainId, line] of this.#lines) {
      if (line.queue.length === 0) continue;
      this.#lines.delete(chainId);
      this.#lines.set(chainId, line);
      const items = line.queue.splice(0, most);
      this.#queued -= items.length;
      return items;
    }
    return [];
  }

  #freeThread(): Thread | undefined {
    return this.#threads
      .filter(({ ready, sent }) => ready && sent.size < MAX_MESSAGES_PER_WORKER)
      .sort((a, b) => a.sent.size - b.sent.size)[0];
  }

  /** One at first, the others once it is busy: most nodes of a local network never need any. */
  #startThreads(): void {
    const busy = this.#threads.every(({ ready, sent }) => ready && sent.size > 0);
    if (busy && this.#threads.length < this.#maxThreads) this.#threads.push(this.#startThread());
  }

  #startThread(): Thread {
    const worker = (this.#options.startWorker ?? startWorker)();
    worker.unref();
    const thread: Thread = { worker, sent: new Map(), ready: false };
    worker.on('message', (message: WorkerMessage) => {
      if (message === WORKER_READY) {
        thread.ready = true;
        this.#flush();
      } else {
        this.#onAnswer(thread, message);
      }
    });
    worker.on('error', (error) => {
      if (!this.#closed) this.#options.logger.error({ err: error }, 'an admission worker failed');
    });
    worker.on('exit', () => this.#onExit(thread));
    return thread;
  }

  #send(thread: Thread, items: readonly Item[]): void {
    const id = this.#nextId++;
    thread.sent.set(id, items);
    // A process must not end while a check is under way, nor stay for an idle worker.
    thread.worker.ref();
    const packed = encodeBody(items.map(({ raw }) => raw));
    const { chainId } = items[0]!.line;
    const request: CheckRequest = { id, chainId, rules: this.#options.rules, packed };
    thread.worker.postMessage(request, [packed.buffer as ArrayBuffer]);
  }

  #onAnswer(thread: Thread, answer: CheckAnswer): void {
    const items = thread.sent.get(answer.id);
    if (items === undefined) return;
    thread.sent.delete(answer.id);
    if (thread.sent.size === 0) thread.worker.unref();
    const outcomes = unpackAnswer(answer);
    for (let i = 0; i < items.length; i++) items[i]!.outcome = outcomes[i]!;
    this.#options.onChecked?.('worker', items.length);
    this.#handOutOf(items);
    if (this.#queued > 0) this.#flush();
  }

  /** A worker that died loses nothing: what it had is checked in place, and another one is started when needed. */
  #onExit(thread: Thread): void {
    if (this.#closed) return;
    this.#deaths++;
    this.#threads.splice(this.#threads.indexOf(thread), 1);
    this.#options.logger.warn({ deaths: this.#deaths, limit: MAX_WORKER_DEATHS }, 'an admission worker ended');
    this.#checkInline([...thread.sent.values()].flat());
    this.#flush();
  }
}

function waitingIn({ order, head }: Line): number {
  return order.length - head;
}

function busy(line: Line): Rejection {
  return admissionBusy(waitingIn(line), BUSY_RETRY_MS);
}

/** The same file as built and as source, in which case the loader must find the other packages' sources too. */
function startWorker(): Worker {
  const fromSource = import.meta.url.endsWith('.ts');
  return new Worker(new URL(fromSource ? './worker.ts' : './worker.js', import.meta.url), {
    execArgv: fromSource ? ['--conditions=source'] : [],
    name: 'squad-admission',
  });
}
