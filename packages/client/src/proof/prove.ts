/** Makes ordering receipts, where block and batch are held. */

import { bodyRangeProof, keccak256 as portableKeccak256, sha256 as portableSha256 } from '@squad/crypto';
import {
  type Batch,
  type BlockProof,
  bodyRange,
  OFFSET_BYTES,
  type OrderingReceipt,
  RECEIPT_VERSION,
} from '@squad/types';
import type { ProofOptions } from './block-proof.ts';

export interface TransactionPlaceInBlock {
  /** Position of the batch among all refs of the block. */
  readonly batchIndex: number;
  readonly transactionIndex: number;
}

/**
 * The receipt of a transaction of a block. The batch is the one at `batchIndex`, its form was checked, and it has so many
 * transactions: a wrong place throws a `RangeError` or makes a receipt that nobody accepts. Hashes the body once.
 *
 * @example
 * const receipt = proveTransaction(proof, batch, { batchIndex: 0, transactionIndex: 3 });
 * const bytes = OrderingReceipt.serialize(receipt);
 */
export function proveTransaction(
  proof: BlockProof,
  { signed, body }: Batch,
  { batchIndex, transactionIndex }: TransactionPlaceInBlock,
  { sha256 = portableSha256, keccak256 = portableKeccak256 }: Pick<ProofOptions, 'sha256' | 'keccak256'> = {},
): OrderingReceipt {
  const { start, end } = bodyRange(body, transactionIndex);
  const isLast = transactionIndex + 1 === signed.header.transactionCount;
  const offsets = bodyRangeProof(body, OFFSET_BYTES * transactionIndex, OFFSET_BYTES * (isLast ? 1 : 2), sha256);
  const transaction = bodyRangeProof(body, start, end - start, sha256);
  return {
    version: RECEIPT_VERSION,
    proof,
    batchIndex,
    batchHeader: signed.header,
    transactionIndex,
    transactionHash: keccak256(body.subarray(start, end)),
    offsets: { chunks: offsets.chunks, siblings: [...offsets.siblings] },
    transaction: { chunks: transaction.chunks, siblings: [...transaction.siblings] },
  };
}
