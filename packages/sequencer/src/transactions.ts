/**
 * What became of the transactions that were taken in here: pending, soft, final, with their place. Transactions of other
 * nodes are found once their block is final and indexed.
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

interface Known {
  readonly rollupId: RollupId;
  stage: 'pending' | Stage;
  place?: TransactionPlace;
  /** It was final and came again: it waits to be ordered once more, and keeps its first place. */
  isAgain?: boolean;
}

export class Transactions {
  readonly #self: ValidatorIndex | undefined;
  readonly #known = new Map<TransactionHash, Known>();
  readonly #bySeq = new Map<LaneSeq, readonly TransactionHash[]>();
  /** Final ones, oldest first: the first to be forgotten. */
  readonly #finals = new Set<TransactionHash>();

  constructor(self: ValidatorIndex | undefined) {
    this.#self = self;
  }

  has(hash: TransactionHash): boolean {
    return this.#known.has(hash);
  }

  /** Taken in here and not final yet, or not once more. */
  isWaiting(hash: TransactionHash): boolean {
    const known = this.#known.get(hash);
    return known !== undefined && (known.stage !== 'final' || known.isAgain === true);
  }

  accept(hash: TransactionHash, rollupId: RollupId): void {
    const known = this.#known.get(hash);
    if (known?.stage === 'final') known.isAgain = true;
    else this.#known.set(hash, { rollupId, stage: 'pending' });
  }

  sealed(seq: LaneSeq, hashes: readonly TransactionHash[]): void {
    this.#bySeq.set(seq, hashes);
  }

  /** A block became soft or final: the own batches in it have their place. */
  placed(stage: Stage, block: Block): void {
    const hash = blockHashHex(block.header);
    block.refs.forEach((ref, batchIndex) => {
      if (ref.author !== this.#self) return;
      this.#bySeq.get(ref.seq)?.forEach((transaction, transactionIndex) => {
        const known = this.#known.get(transaction);
        if (!known) return;
        if (known.stage === 'final') {
          if (stage === 'final') known.isAgain = false;
          return;
        }
        known.stage = stage;
        const { height } = block.header;
        const { rollupId, author, seq } = ref;
        known.place = { rollupId, height, blockHash: hash, batchIndex, author, seq, transactionIndex };
        if (stage === 'final') this.#finals.add(transaction);
      });
      if (stage === 'final') this.#bySeq.delete(ref.seq);
    });
    if (stage === 'final') this.#forgetOldest();
  }

  status(hash: TransactionHash): TransactionStatus | undefined {
    const known = this.#known.get(hash);
    if (!known) return undefined;
    if (known.stage === 'pending' || !known.place) return { status: 'pending', rollupId: known.rollupId };
    return { status: known.stage, ...known.place };
  }

  #forgetOldest(): void {
    for (const oldest of this.#finals) {
      if (this.#finals.size <= MAX_REMEMBERED_TRANSACTIONS) return;
      this.#finals.delete(oldest);
      this.#known.delete(oldest);
    }
  }
}
