/**
 * Gathers transactions into messages: those that come within a few milliseconds, and those that come while a message is
 * under way. One message is under way at a time, since two could arrive the wrong way round, and a sender's nonces with
 * them.
 */

import { RpcCode, RpcError } from '@squad/service';
import type { Hex } from '@squad/types';

/** Transactions in one message. */
export const MAX_SUBMIT_TRANSACTIONS = 512;
/** Bytes of transactions in one message; a single one may be larger. */
export const MAX_SUBMIT_BYTES: number = 128 * 1024;
/** Transactions that wait, or whose answer is awaited. */
export const MAX_PENDING_SUBMISSIONS = 8192;
/** Bytes of them. */
export const MAX_PENDING_SUBMISSION_BYTES: number = 32 * 1024 * 1024;
/** Milliseconds that the first transaction of a message waits for others. */
export const SUBMIT_DELAY_MS = 3;

/** One transaction and whoever waits for its outcome. Exactly one of the two functions is called. */
export interface Submission {
  readonly raw: Uint8Array;
  resolve(hash: Hex): void;
  reject(error: unknown): void;
}

export class Coalescer {
  readonly #flush: (submissions: readonly Submission[]) => Promise<void>;
  readonly #waiting: Submission[] = [];
  #waitingBytes = 0;
  #isUnderWay = false;
  #pending = 0;
  #pendingBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `flush` settles every submission; if it throws, those that it has not settled are rejected with what it threw. */
  constructor(flush: (submissions: readonly Submission[]) => Promise<void>) {
    this.#flush = flush;
  }

  /** Rejects with an `RpcError` if too many are pending. */
  submit(raw: Uint8Array): Promise<Hex> {
    if (this.#pending >= MAX_PENDING_SUBMISSIONS || this.#pendingBytes + raw.length > MAX_PENDING_SUBMISSION_BYTES) {
      return Promise.reject(busy(this.#pending));
    }
    const { promise, resolve, reject } = Promise.withResolvers<Hex>();
    this.#pending++;
    this.#pendingBytes += raw.length;
    this.#waiting.push({ raw, resolve, reject });
    this.#waitingBytes += raw.length;
    if (this.#waiting.length >= MAX_SUBMIT_TRANSACTIONS || this.#waitingBytes >= MAX_SUBMIT_BYTES) this.#send();
    else this.#timer ??= setTimeout(() => this.#send(), SUBMIT_DELAY_MS);
    return promise;
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#isUnderWay || this.#waiting.length === 0) return;
    const submissions = this.#take();
    const bytes = submissions.reduce((sum, { raw }) => sum + raw.length, 0);
    this.#waitingBytes -= bytes;
    this.#isUnderWay = true;
    void this.#flush(submissions)
      .catch((error: unknown) => {
        for (const { reject } of submissions) reject(error);
      })
      .finally(() => {
        this.#isUnderWay = false;
        this.#pending -= submissions.length;
        this.#pendingBytes -= bytes;
        this.#send();
      });
  }

  /** As many of those that wait as one message holds, at least one. */
  #take(): readonly Submission[] {
    let bytes = 0;
    const end = this.#waiting.findIndex(({ raw }, index) => {
      bytes += raw.length;
      return index === MAX_SUBMIT_TRANSACTIONS || (index > 0 && bytes > MAX_SUBMIT_BYTES);
    });
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end);
  }
}

function busy(pending: number): RpcError {
  return new RpcError(RpcCode.limitExceeded, `${pending} transactions are on their way to the sequencers, the limit`, {
    code: 'SUBMISSION_BUSY',
    remedy: 'Try again shortly, or send through another node.',
  });
}
