/** Judges the receipts of a bundle: that its transactions stand in one block, one after the other, all of them (R1). Pure. */

import {
  type BatchRef,
  type BlockHeader,
  type Bytes32,
  decodeReceipt,
  equalBytes,
  MAX_BUNDLE_BATCHES,
  OrderingReceipt,
  ok,
  type Result,
  type SquadError,
  toHex,
  type ValidatorIndex,
} from '@squad/types';
import type { ProofOptions } from './block-proof.ts';
import type { Checkpoint } from './checkpoint.ts';
import { refused } from './fault.ts';
import { type OrderedTransaction, verifyReceipt } from './receipt.ts';

/** What the receipts of a bundle have shown. */
export interface OrderedBundle {
  /** `final` if one of the receipts is: they are of one block. */
  readonly stage: 'soft' | 'final';
  readonly blockHash: Bytes32;
  readonly header: BlockHeader;
  /** In whose lane it stands. */
  readonly author: ValidatorIndex;
  /** One of each batch of the bundle, in their order. */
  readonly transactions: readonly OrderedTransaction[];
}

/**
 * Checks off-line, against a checkpoint alone, that these receipts are those of one whole bundle: each good by itself, of one
 * block, of batches that follow each other in one lane, of which each but the last says that the next one belongs with it, and
 * the one before them does not. It says nothing of whether their rollups executed them. Costs a signature check a receipt.
 *
 * `receipts`: 1 to `MAX_BUNDLE_BATCHES`, one of each batch, in any order.
 *
 * @example
 * const bundle = verifyBundle(receipts, checkpoint);
 * if (!bundle.ok) throw bundle.error;
 */
export function verifyBundle(
  receipts: readonly (Uint8Array | OrderingReceipt)[],
  checkpoint: Checkpoint,
  options: ProofOptions = {},
): Result<OrderedBundle, SquadError> {
  if (receipts.length === 0 || receipts.length > MAX_BUNDLE_BATCHES) {
    return incomplete(`${receipts.length} receipts, a bundle has 1 to ${MAX_BUNDLE_BATCHES}`);
  }
  const verified: OrderedTransaction[] = [];
  for (const receipt of receipts) {
    const transaction = verifyReceipt(receipt, checkpoint, options);
    if (!transaction.ok) return transaction;
    verified.push(transaction.value);
  }
  const transactions = verified.sort((a, b) => a.batchIndex - b.batchIndex);
  const [first] = transactions as [OrderedTransaction, ...OrderedTransaction[]];
  const other = transactions.find(({ blockHash }) => !equalBytes(blockHash, first.blockHash));
  if (other) return incomplete(`they are of two blocks, ${toHex(first.blockHash)} and ${toHex(other.blockHash)}`);
  const fault = bundleFault(transactions, refsOf(receipts[0]!));
  if (fault !== undefined) return incomplete(fault);
  const { blockHash, header, batchHeader } = first;
  const stage = transactions.some((transaction) => transaction.stage === 'final') ? 'final' : 'soft';
  return ok({ stage, blockHash, header, author: batchHeader.author, transactions });
}

/** Batches by their place in a block with these refs, which are proven: what is wrong with them as one bundle, if anything. */
function bundleFault(transactions: readonly OrderedTransaction[], refs: readonly BatchRef[]): string | undefined {
  const [first] = transactions as [OrderedTransaction, ...OrderedTransaction[]];
  const { author } = first.batchHeader;
  for (const [i, { batchIndex, batchHeader }] of transactions.entries()) {
    if (batchIndex !== first.batchIndex + i || batchHeader.author !== author) {
      return `ref ${batchIndex} of the block does not follow the one before it in lane ${author}`;
    }
    const isLast = i + 1 === transactions.length;
    if (batchHeader.joinsNext === isLast) {
      return isLast
        ? `ref ${batchIndex} is not its last, the next one belongs with it`
        : `it ends with ref ${batchIndex}`;
    }
  }
  const before = refs[first.batchIndex - 1];
  if (before?.author === author && before.joinsNext) {
    return `ref ${first.batchIndex} is not its first, it belongs with the one before it`;
  }
  return undefined;
}

function refsOf(receipt: Uint8Array | OrderingReceipt): readonly BatchRef[] {
  const decoded = decodeReceipt(receipt instanceof Uint8Array ? receipt : OrderingReceipt.serialize(receipt));
  if (!decoded.ok) throw new Error('a receipt that was verified does not decode');
  return decoded.value.proof.block.refs;
}

function incomplete(reason: string) {
  return refused('the bundle', { code: 'BUNDLE_INCOMPLETE', reason });
}
