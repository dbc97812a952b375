/** The batches used last, in memory: the feed and the peers ask for what has just been stored. Bounded by bytes. */

import type { BatchDigest } from '@squad/types';

export class BatchCache {
  readonly #maxBytes: number;
  /** Least recently used first. */
  readonly #batches = new Map<BatchDigest, Uint8Array>();
  #byteLength = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(digest: BatchDigest): Uint8Array | undefined {
    const bytes = this.#batches.get(digest);
    if (bytes === undefined) return undefined;
    this.#batches.delete(digest);
    this.#batches.set(digest, bytes);
    return bytes;
  }

  set(digest: BatchDigest, bytes: Uint8Array): void {
    this.delete(digest);
    if (bytes.length > this.#maxBytes) return;
    this.#batches.set(digest, bytes);
    this.#byteLength += bytes.length;
    for (const oldest of this.#batches.keys()) {
      if (this.#byteLength <= this.#maxBytes) return;
      this.delete(oldest);
    }
  }

  delete(digest: BatchDigest): void {
    const bytes = this.#batches.get(digest);
    if (bytes === undefined) return;
    this.#batches.delete(digest);
    this.#byteLength -= bytes.length;
  }
}
