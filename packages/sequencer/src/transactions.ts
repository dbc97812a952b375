/**
 * What became of the transactions that were taken in here: pending, soft, final, with their place. Transactions of other
 * nodes are found once their block is final and indexed.
 *
 * They move in whole batches, so what is known is kept for a batch; for a transaction there is an entry in a map.
 */

import {
  type Block,
  blockHashHex,
  type LaneSeq,
  type RollupId,
  type TransactionHash,
  type ValidatorIndex,
} from '@squad/types';
import type { Stage, TransactionPlace, TransactionStatus } from './rpc/api.ts';

/** Final transactions that are remembered here until the index has them for certain. */
export const MAX_REMEMBERED_TRANSACTIONS = 65_536;

/** The transactions of one own batch, or all of a rollup that are not sealed yet. */
interface Run {
  readonly rollupId: RollupId;
  readonly hashes: readonly TransactionHash[];
  stage: 'pending' | Stage;
  place?: Omit<TransactionPlace, 'transactionIndex'>;
  /** How many of them, from the first on, are forgotten. */
  forgotten: number;
}

export class Transactions {
  #self: ValidatorIndex | undefined;
  /** The run that a transaction is in; one that became final and came again stays in its first. */
  readonly #known = new Map<TransactionHash, Run>();
  /** Those that were final and came again, and wait to be ordered once more. */
  readonly #again = new Set<TransactionHash>();
  readonly #unsealed = new Map<RollupId, Run>();
  readonly #bySeq = new Map<LaneSeq, Run>();
  /** Oldest first: the first to be forgotten. */
  readonly #finals: Run[] = [];
  #finalCount = 0;

  constructor(self: ValidatorIndex | undefined) {
    this.#self = self;
  }

  /** Final ones that are remembered. */
  get finals(): number {
    return this.#finalCount;
  }

  has(hash: TransactionHash): boolean {
    return this.#known.has(hash);
  }

  /** Taken in here and not final yet, or not once more. */
  isWaiting(hash: TransactionHash): boolean {
    const run = this.#known.get(hash);
    return run !== undefined && (run.stage !== 'final' || this.#again.has(hash));
  }

  accept(hash: TransactionHash, rollupId: RollupId): void {
    if (this.#known.get(hash)?.stage === 'final') this.#again.add(hash);
    else this.#known.set(hash, this.#unsealedOf(rollupId));
  }

  sealed(seq: LaneSeq, rollupId: RollupId, hashes: readonly TransactionHash[]): void {
    const run: Run = { rollupId, hashes, stage: 'pending', forgotten: 0 };
    // One that is final and waits again stays in its first run.
    for (const hash of hashes) if (this.#again.size === 0 || !this.#again.has(hash)) this.#known.set(hash, run);
    this.#bySeq.set(seq, run);
  }

  /**
   * The next epoch begins (R22): the own batches that were not ordered have other places, by their old ones, or, when this
   * node has no lane any more, none.
   */
  beginEpoch(self: ValidatorIndex | undefined, places: ReadonlyMap<LaneSeq, LaneSeq>): void {
    const before = [...this.#bySeq];
    this.#self = self;
    this.#bySeq.clear();
    for (const [seq, run] of before) {
      run.stage = 'pending';
      const place = places.get(seq);
      if (place !== undefined) this.#bySeq.set(place, run);
    }
  }

  /** Others have ordered what this node gave away: the index knows where. */
  forget(hashes: readonly TransactionHash[]): void {
    for (const hash of hashes) {
      if (this.#known.get(hash)?.stage !== 'pending') continue;
      this.#known.delete(hash);
      this.#again.delete(hash);
    }
  }

  /** A block became soft or final: the own batches in it have their place. */
  placed(stage: Stage, block: Block): void {
    const blockHash = blockHashHex(block.header);
    const { height } = block.header;
    block.refs.forEach(({ author, seq, rollupId }, batchIndex) => {
      const run = author === this.#self ? this.#bySeq.get(seq) : undefined;
      if (!run) return;
      run.stage = stage;
      run.place = { rollupId, height, blockHash, batchIndex, author, seq };
      if (stage === 'final') this.#finalized(seq, run);
    });
  }

  status(hash: TransactionHash): TransactionStatus | undefined {
    const run = this.#known.get(hash);
    if (!run) return undefined;
    const { stage, place, rollupId } = run;
    if (stage === 'pending' || !place) return { status: 'pending', rollupId };
    return { status: stage, ...place, transactionIndex: run.hashes.indexOf(hash) };
  }

  #unsealedOf(rollupId: RollupId): Run {
    let run = this.#unsealed.get(rollupId);
    if (!run) {
      run = { rollupId, hashes: [], stage: 'pending', forgotten: 0 };
      this.#unsealed.set(rollupId, run);
    }
    return run;
  }

  #finalized(seq: LaneSeq, run: Run): void {
    this.#bySeq.delete(seq);
    this.#finals.push(run);
    for (const hash of run.hashes) {
      if (this.#known.get(hash) === run) this.#finalCount++;
      else this.#again.delete(hash);
    }
    while (this.#finalCount > MAX_REMEMBERED_TRANSACTIONS) this.#forgetOldest();
  }

  #forgetOldest(): void {
    const run = this.#finals[0]!;
    if (run.forgotten === run.hashes.length) {
      this.#finals.shift();
      return;
    }
    const hash = run.hashes[run.forgotten++]!;
    if (this.#known.get(hash) !== run) return;
    this.#known.delete(hash);
    this.#again.delete(hash);
    this.#finalCount--;
  }
}
