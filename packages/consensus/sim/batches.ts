/** The batches that one node holds, by digest and by lane, and how far it may acknowledge each lane (R3, R5). */

import { type Acknowledgement, equalBytes, ZERO_HASH } from '@squad/types';
import type { HeldBatch } from '../src/api.ts';
import { hexOf } from './memo.ts';

export class BatchStore {
  /** First seen per seq, per lane. */
  readonly lanes: HeldBatch[][];
  readonly #byDigest = new Map<string, HeldBatch>();
  readonly #durable = new Set<string>();
  /** Per lane: how many batches from the start are durable, each following the one before. */
  readonly #contiguous: number[];

  constructor(size: number) {
    this.lanes = Array.from({ length: size }, () => []);
    this.#contiguous = Array.from({ length: size }, () => 0);
  }

  /** False if it was held already. */
  add(batch: HeldBatch): boolean {
    const name = hexOf(batch.ref.digest);
    if (this.#byDigest.has(name)) return false;
    this.#byDigest.set(name, batch);
    this.lanes[batch.ref.author]![batch.ref.seq] ??= batch;
    return true;
  }

  setDurable(batch: HeldBatch): void {
    this.#durable.add(hexOf(batch.ref.digest));
    const { author } = batch.ref;
    const lane = this.lanes[author]!;
    for (;;) {
      const seq = this.#contiguous[author]!;
      const next = lane[seq];
      const before = seq === 0 ? ZERO_HASH : lane[seq - 1]!.ref.digest;
      if (!next || !this.#durable.has(hexOf(next.ref.digest)) || !equalBytes(next.previousDigest, before)) return;
      this.#contiguous[author] = seq + 1;
    }
  }

  get(digest: Uint8Array): HeldBatch | undefined {
    return this.#byDigest.get(hexOf(digest));
  }

  isDurable(digest: Uint8Array): boolean {
    return this.#durable.has(hexOf(digest));
  }

  all(): IterableIterator<HeldBatch> {
    return this.#byDigest.values();
  }

  durableLength(author: number): number {
    return this.#contiguous[author]!;
  }

  acknowledgement(author: number): Acknowledgement | undefined {
    const seq = this.#contiguous[author]! - 1;
    return seq < 0 ? undefined : { author, seq, digest: this.lanes[author]![seq]!.ref.digest };
  }
}
