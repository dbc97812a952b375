/**
 * From batch references to transactions. An accepted request says where its transactions stand in the lane; a block says
 * which batches of which lane it orders. A request is one moment of arrival, so work here is per request and per batch,
 * never per transaction.
 */

export type Stage = 'soft' | 'final';

/** [seq, transactionIndex, count], as squad_sendTransactions answers. */
export type Place = readonly [seq: number, transactionIndex: number, count: number];

/** `count` transactions that were due at `dueUs` reached the stage at `atUs`. */
export type OnReached = (stage: Stage, dueUs: number, atUs: number, count: number) => void;

interface Waiting {
  readonly dueUs: number;
  readonly count: number;
}

interface BatchState {
  softUs: number | undefined;
  finalUs: number | undefined;
  /** Requests with transactions in it that are not final. */
  waiting: Waiting[];
  /** Transactions of requests that were answered. */
  placed: number;
}

/** Follows one lane. */
export class LaneTracker {
  readonly #onReached: OnReached;
  readonly #batches = new Map<number, BatchState>();
  #unfinal = 0;
  #finalTwice = 0;

  constructor(onReached: OnReached) {
    this.#onReached = onReached;
  }

  /** Placed and not final. */
  get unfinal(): number {
    return this.#unfinal;
  }

  /** Batches that a final block ordered though one had before. */
  get finalTwice(): number {
    return this.#finalTwice;
  }

  /** A request was answered. Blocks may have told of its batches before: their times are kept. */
  placed(dueUs: number, places: readonly Place[]): void {
    for (const [seq, , count] of places) {
      const batch = this.#batchOf(seq);
      batch.placed += count;
      if (batch.softUs !== undefined) this.#onReached('soft', dueUs, batch.softUs, count);
      if (batch.finalUs !== undefined) {
        this.#onReached('final', dueUs, batch.finalUs, count);
        continue;
      }
      this.#unfinal += count;
      batch.waiting.push({ dueUs, count });
    }
  }

  /** A block of this stage holds the batch. A batch that is final without having been soft becomes both. */
  ordered(stage: Stage, seq: number, atUs: number): void {
    const batch = this.#batchOf(seq);
    if (stage === 'final' && batch.finalUs !== undefined) this.#finalTwice++;
    if (batch.softUs === undefined) {
      batch.softUs = atUs;
      for (const { dueUs, count } of batch.waiting) this.#onReached('soft', dueUs, atUs, count);
    }
    if (stage === 'soft' || batch.finalUs !== undefined) return;
    batch.finalUs = atUs;
    for (const { dueUs, count } of batch.waiting) {
      this.#onReached('final', dueUs, atUs, count);
      this.#unfinal -= count;
    }
    batch.waiting = [];
  }

  #batchOf(seq: number): BatchState {
    let batch = this.#batches.get(seq);
    if (batch === undefined) {
      batch = { softUs: undefined, finalUs: undefined, waiting: [], placed: 0 };
      this.#batches.set(seq, batch);
    }
    return batch;
  }
}
