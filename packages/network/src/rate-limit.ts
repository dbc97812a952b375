/** Token buckets: how much of a protocol a peer may use in a stretch of time. Time is passed in, in milliseconds. */

import type { ProtocolRate, Rate } from './limits.ts';

export class TokenBucket {
  readonly #rate: Rate;
  #tokens: number;
  #atMs: number;

  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#atMs = nowMs;
  }

  /** Takes tokens even if that leaves a debt; returns the milliseconds until the debt is paid, 0 if there is none. */
  take(count: number, nowMs: number): number {
    this.#refill(nowMs);
    this.#tokens -= count;
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens / this.#rate.perSecond) * 1000);
  }

  /** Whether there is a whole token, so that one more may start. */
  inCredit(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= 1;
  }

  #refill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + (elapsedMs * this.#rate.perSecond) / 1000);
  }
}

/** One peer's use of one protocol: frames and bytes. */
export class ProtocolBudget {
  readonly #frames: TokenBucket;
  readonly #bytes: TokenBucket;

  constructor(rate: ProtocolRate, nowMs: number) {
    this.#frames = new TokenBucket(rate.frames, nowMs);
    this.#bytes = new TokenBucket(rate.bytes, nowMs);
  }

  /** Milliseconds to wait before more is read; 0 within the rate. */
  take(frames: number, bytes: number, nowMs: number): number {
    return Math.max(this.#frames.take(frames, nowMs), this.#bytes.take(bytes, nowMs));
  }

  inCredit(nowMs: number): boolean {
    return this.#frames.inCredit(nowMs) && this.#bytes.inCredit(nowMs);
  }
}
