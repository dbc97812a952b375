/**
 * What a node has accepted, and must not lose (R22): each batch has a payload; one whose batch was not ordered in its epoch is
 * sealed anew in the next one. Only schedules with epochs keep count.
 */

import type { HeldBatch } from '../src/api.ts';
import type { MadeBatch } from './invariants/api.ts';
import { hexOf } from './memo.ts';

/** What every batch of a run is, by digest; of the network as a whole. */
export class BatchRegistry {
  readonly #batches = new Map<
    string,
    { readonly batch: MadeBatch; readonly epoch: number; readonly payload: number }
  >();
  readonly #hasEpochs: boolean;
  #payloads = 0;

  constructor(hasEpochs: boolean) {
    this.#hasEpochs = hasEpochs;
  }

  newPayload(): number {
    return ++this.#payloads;
  }

  add(made: HeldBatch, epoch: number, payload: number, madeAtMs: number): void {
    this.#batches.set(hexOf(made.ref.digest), { batch: { ...made, madeAtMs }, epoch, payload });
  }

  get(digest: Uint8Array): MadeBatch | undefined {
    return this.#batches.get(hexOf(digest))?.batch;
  }

  epochOf(digest: Uint8Array): number {
    return this.#hasEpochs ? (this.#batches.get(hexOf(digest))?.epoch ?? 0) : 0;
  }

  payloadOf(digest: Uint8Array): number | undefined {
    return this.#batches.get(hexOf(digest))?.payload;
  }
}

/** Those of one node. */
export class Payloads {
  /** Accepted here, with the epoch in which they were sealed last. */
  readonly #own = new Map<number, number>();
  readonly #durable = new Set<number>();
  readonly #ordered = new Set<number>();

  seal(payload: number, epoch: number): void {
    this.#own.set(payload, Math.max(epoch, this.#own.get(payload) ?? 0));
  }

  /** From here on it may not be lost. */
  setDurable(payload: number): void {
    if (this.#own.has(payload)) this.#durable.add(payload);
  }

  order(payload: number | undefined): void {
    if (payload !== undefined) this.#ordered.add(payload);
  }

  isOwn(payload: number): boolean {
    return this.#own.has(payload);
  }

  isOrdered(payload: number): boolean {
    return this.#ordered.has(payload);
  }

  /** Sealed in an earlier epoch than this one, and never ordered. */
  leftFrom(epoch: number): number[] {
    return [...this.#own].flatMap(([payload, sealed]) =>
      sealed < epoch && !this.#ordered.has(payload) ? [payload] : [],
    );
  }

  get durable(): readonly number[] {
    return [...this.#durable];
  }
}
