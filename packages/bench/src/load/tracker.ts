/**
 * From batch references to transactions. An accepted request says where its transactions stand in the lane; a block says
 * which batches of which lane it orders. A request is one moment of arrival, so work here is per request and per batch,
 * never per transaction.
 */

import type { LaneNews, OnReached, Request } from './session.ts';

/** [seq, transactionIndex, count], as squad_sendTransactions answers. */
export type Place = readonly [seq: number, transactionIndex: number, count: number];

interface BatchState {
  softUs: number | undefined;
  finalUs: number | undefined;
  proposedUs: number;
  /** Requests with transactions in it that are not final. */
  waiting: { readonly request: Request; readonly count: number }[];
}

/** Follows one lane. */
export class LaneTracker {
  readonly #onReached: OnReached;
  readonly #batches = new Map<number, BatchState>();
  #unfinal = 0;

  constructor(onReached: OnReached) {
    this.#onReached = onReached;
  }

  /** Placed and not final. */
  get unfinal(): number {
    return this.#unfinal;
  }

  /** A request was answered. Blocks may have told of its batches before: their times are kept. */
  placed(request: Request, places: readonly Place[]): void {
    for (const [seq, , count] of places) {
      const batch = this.#batchOf(seq);
      if (batch.softUs !== undefined) this.#onReached('soft', request, batch.softUs, count, batch.proposedUs);
      if (batch.finalUs !== undefined) {
        this.#onReached('final', request, batch.finalUs, count, batch.proposedUs);
        continue;
      }
      this.#unfinal += count;
      batch.waiting.push({ request, count });
    }
  }

  /** A block of this stage holds the batch. A batch that is final without having been soft becomes both. */
  ordered({ stage, seq, atUs, proposedUs }: LaneNews): void {
    const batch = this.#batchOf(seq);
    if (batch.softUs === undefined) {
      batch.softUs = atUs;
      batch.proposedUs = proposedUs;
      for (const { request, count } of batch.waiting) this.#onReached('soft', request, atUs, count, proposedUs);
    }
    if (stage === 'soft' || batch.finalUs !== undefined) return;
    batch.finalUs = atUs;
    for (const { request, count } of batch.waiting) {
      this.#onReached('final', request, atUs, count, proposedUs);
      this.#unfinal -= count;
    }
    batch.waiting = [];
  }

  #batchOf(seq: number): BatchState {
    let batch = this.#batches.get(seq);
    if (batch === undefined) {
      batch = { softUs: undefined, finalUs: undefined, proposedUs: 0, waiting: [] };
      this.#batches.set(seq, batch);
    }
    return batch;
  }
}
