/** Token buckets: one for each connection, one for each address. Time is passed in, so that tests need not wait. */

export interface RateLimit {
  /** Tokens that come back each second; one call costs one unless its method says otherwise. */
  readonly perSecond: number;
  /** Most tokens that can be saved up. */
  readonly burst: number;
}

export class TokenBucket {
  readonly #limit: RateLimit;
  #tokens: number;
  #atMs: number;

  constructor(limit: RateLimit, nowMs: number) {
    this.#limit = limit;
    this.#tokens = limit.burst;
    this.#atMs = nowMs;
  }

  /** Takes the tokens and returns 0; or takes none and returns the milliseconds after which there will be enough. */
  take(tokens: number, nowMs: number): number {
    const waitMs = this.wait(tokens, nowMs);
    if (waitMs === 0) this.#tokens -= Math.min(tokens, this.#limit.burst);
    return waitMs;
  }

  /** Milliseconds until there are so many tokens; takes none. */
  wait(tokens: number, nowMs: number): number {
    const { perSecond, burst } = this.#limit;
    this.#tokens = Math.min(burst, this.#tokens + (Math.max(0, nowMs - this.#atMs) / 1000) * perSecond);
    this.#atMs = nowMs;
    // What costs more than the bucket holds could never be paid: a full bucket pays for it.
    const price = Math.min(tokens, burst);
    if (this.#tokens >= price) return 0;
    return Math.max(1, Math.ceil(((price - this.#tokens) / perSecond) * 1000));
  }
}

/** Buckets by address, at most `maxAddresses`; the one that has been unused for longest makes room. */
export class AddressBuckets {
  readonly #limit: RateLimit;
  readonly #maxAddresses: number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(limit: RateLimit, maxAddresses: number) {
    this.#limit = limit;
    this.#maxAddresses = maxAddresses;
  }

  get size(): number {
    return this.#buckets.size;
  }

  take(address: string, tokens: number, nowMs: number): number {
    return this.#bucket(address, nowMs).take(tokens, nowMs);
  }

  wait(address: string, tokens: number, nowMs: number): number {
    return this.#bucket(address, nowMs).wait(tokens, nowMs);
  }

  #bucket(address: string, nowMs: number): TokenBucket {
    let bucket = this.#buckets.get(address);
    if (bucket === undefined) {
      if (this.#buckets.size >= this.#maxAddresses) this.#buckets.delete(this.#buckets.keys().next().value!);
      bucket = new TokenBucket(this.#limit, nowMs);
    } else {
      this.#buckets.delete(address);
    }
    this.#buckets.set(address, bucket);
    return bucket;
  }
}
