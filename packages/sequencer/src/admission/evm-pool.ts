/**
 * Checks EVM transactions off the main thread. Recovering a sender takes 0.2 ms: a thousand a second would take a fifth of
 * the event loop's time from consensus. Few at a time are checked in place, as that is faster than a worker's round trip.
 *
 * Outcomes are handed out in the order in which transactions came, whichever thread was faster: a sender's nonces must
 * reach the lane in the order in which it sent them.
 */

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type Logger, TokenBucket } from '@squad/service';
import { encodeBody, err, type Result } from '@squad/types';
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
  readonly chainId: number;
  readonly raw: Uint8Array;
  readonly settle: (outcome: EvmOutcome) => void;
  /** Set once it is checked; handed out when all before it are. */
  outcome: EvmOutcome | undefined;
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
  /** Not sent to a worker yet. */
  #queue: Item[] = [];
  /** All that is not handed out yet, oldest at `#head`. */
  #order: Item[] = [];
  #head = 0;
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
    return this.#order.length - this.#head;
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
    this.#queue = [];
    for (const item of this.#order.slice(this.#head)) item.outcome ??= err(admissionBusy(this.waiting, BUSY_RETRY_MS));
    this.#handOut();
  }

  #enqueue(chainId: number, raw: Uint8Array, settle: Item['settle']): void {
    const fault = sizeFault(raw);
    if (fault !== undefined) {
      settle(err(fault));
    } else if (this.#closed || this.waiting >= this.#maxWaiting) {
      settle(err(admissionBusy(this.waiting, BUSY_RETRY_MS)));
    } else {
      const item: Item = { chainId, raw, settle, outcome: undefined };
      this.#order.push(item);
      this.#queue.push(item);
      this.#flushSoon();
    }
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
    if (this.#queue.length === 0) return;
    if (this.#isInline()) {
      this.#checkInline(this.#queue.splice(0, MAX_INLINE_PER_TURN));
      if (this.#queue.length > 0) this.#flushSoon();
      return;
    }
    this.#startThreads();
    while (this.#queue.length > 0) {
      const thread = this.#freeThread();
      if (thread === undefined) break;
      this.#send(thread, this.#takeMessage());
    }
    // A worker takes some tenths of a second to load: the first transactions do not wait for it.
    if (!this.#threads.some(({ ready }) => ready)) {
      this.#checkInline(this.#queue.splice(0, MAX_INLINE_PER_TURN));
      if (this.#queue.length > 0) this.#flushSoon();
    }
  }

  #isInline(): boolean {
    if (this.#maxThreads === 0 || this.#deaths >= MAX_WORKER_DEATHS) return true;
    // Behind others that a worker has, it would have to wait for them anyway.
    if (this.#queue.length >= INLINE_BELOW_TRANSACTIONS || this.waiting > this.#queue.length) return false;
    return this.#inlineBudget.take(this.#queue.length, Date.now()) === 0;
  }

  #checkInline(items: readonly Item[]): void {
    for (const item of items) item.outcome = admitEvm(item.chainId, item.raw, this.#options.rules);
    this.#options.onChecked?.('inline', items.length);
    this.#handOut();
  }

  /** Settles whatever has an outcome, up to the first that has none. */
  #handOut(): void {
    for (let item = this.#order[this.#head]; item?.outcome !== undefined; item = this.#order[this.#head]) {
      this.#head++;
      item.settle(item.outcome);
    }
    if (this.#head < this.#order.length / 2) return;
    this.#order = this.#order.slice(this.#head);
    this.#head = 0;
  }

  /** A run of transactions of one rollup from the head of the queue; shares the queue fairly between the threads. */
  #takeMessage(): Item[] {
    const share = Math.ceil(this.#queue.length / this.#maxThreads);
    const most = Math.min(MAX_TRANSACTIONS_PER_MESSAGE, Math.max(INLINE_BELOW_TRANSACTIONS, share));
    const { chainId } = this.#queue[0]!;
    let count = 1;
    while (count < most && this.#queue[count]?.chainId === chainId) count++;
    return this.#queue.splice(0, count);
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
    const request: CheckRequest = { id, chainId: items[0]!.chainId, rules: this.#options.rules, packed };
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
    this.#handOut();
    if (this.#queue.length > 0) this.#flush();
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

/** The same file as built and as source, in which case the loader must find the other packages' sources too. */
function startWorker(): Worker {
  const fromSource = import.meta.url.endsWith('.ts');
  return new Worker(new URL(fromSource ? './worker.ts' : './worker.js', import.meta.url), {
    execArgv: fromSource ? ['--conditions=source'] : [],
    name: 'squad-admission',
  });
}
