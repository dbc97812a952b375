/** Judges ordering receipts: place, completeness and stage of one transaction. Pure, for hostile input. */

import { keccak256, sha256, verifyBodyRange } from '@squad/crypto';
import {
  type BatchHeader,
  type BatchRef,
  type BlockHeader,
  type BodyRange,
  type Bytes32,
  batchDigest,
  blockHash,
  decodeReceipt,
  equalBytes,
  err,
  OFFSET_BYTES,
  OrderingReceipt,
  ok,
  type Result,
  type RollupId,
  type SquadError,
  type TransactionHash,
  toHex,
} from '@squad/types';
import { refsOfRollup } from '../batches.ts';
import type { Fault } from '../certificates.ts';
import { certifiedBlock, linkFault, type ProofOptions, signatureFault } from './block-proof.ts';
import type { Checkpoint } from './checkpoint.ts';
import { refused } from './fault.ts';

/** What could still undo a soft receipt. */
export const SOFT_MAY_REVERT =
  'Its view may be nullified as well, for which late messages suffice, and the next leader may then build on an earlier ' +
  'block: the transaction would be ordered again, elsewhere. A finalization ends that.';

/** What an ordering receipt has shown. */
export interface OrderedTransaction {
  /** `soft`: `SOFT_MAY_REVERT`. `final`: only more than a third of the weight could contradict it, and be convicted by it. */
  readonly stage: 'soft' | 'final';
  readonly rollupId: RollupId;
  /** Keccak-256 of the transaction. */
  readonly hash: TransactionHash;
  readonly transaction: Uint8Array;
  readonly blockHash: Bytes32;
  readonly header: BlockHeader;
  /** Position of its batch among all refs of the block. */
  readonly batchIndex: number;
  readonly batchHeader: BatchHeader;
  /** Its position in the batch. */
  readonly transactionIndex: number;
  /** All of the rollup's batches in the block, its own among them: completeness. */
  readonly namespaceRefs: readonly BatchRef[];
}

/**
 * Checks a receipt off-line, against a checkpoint alone. Costs one signature check, the last thing done; the rest is hashes of
 * what is in the receipt, at most `MAX_RECEIPT_BYTES`.
 *
 * @example
 * const receipt = verifyReceipt(bytes, checkpoint);
 * if (!receipt.ok) throw receipt.error;
 * const { stage, header, batchIndex, transactionIndex } = receipt.value;
 */
export function verifyReceipt(
  input: Uint8Array | OrderingReceipt,
  checkpoint: Checkpoint,
  options: ProofOptions = {},
): Result<OrderedTransaction, SquadError> {
  const decoded = decodeReceipt(input instanceof Uint8Array ? input : OrderingReceipt.serialize(input));
  if (!decoded.ok) return refused('the receipt', { code: 'ENCODING', reason: decoded.error.reason });
  const receipt = decoded.value;
  const hash = blockHash(receipt.proof.block.header);
  const link = linkFault(receipt.proof, hash, checkpoint);
  if (link) return refused('the receipt', link);
  const transaction = includedTransaction(receipt, options);
  if (!transaction.ok) return refused('the receipt', transaction.error);
  const signature = signatureFault(receipt.proof, checkpoint, options);
  if (signature) return refused('the receipt', signature);
  const { stage, header, refs } = certifiedBlock(receipt.proof, hash);
  const { batchIndex, batchHeader, transactionIndex } = receipt;
  const { rollupId } = batchHeader;
  return ok({
    stage,
    rollupId,
    hash: toHex(receipt.transactionHash),
    transaction: transaction.value,
    blockHash: hash,
    header,
    batchIndex,
    batchHeader,
    transactionIndex,
    namespaceRefs: refsOfRollup(refs, rollupId),
  });
}

/** The transaction of the batch of a ref of the block, whose refs are taken as they are. */
function includedTransaction(
  receipt: OrderingReceipt,
  hashes: Pick<ProofOptions, 'sha256' | 'keccak256'>,
): Result<Uint8Array, Fault> {
  const { batchIndex, batchHeader, transactionIndex, proof } = receipt;
  const { transactionCount, byteLength, bodyRoot } = batchHeader;
  const ref = proof.block.refs[batchIndex];
  if (!ref) {
    return fault('NO_SUCH_REF', `the block has ${proof.block.refs.length} refs, none at ${batchIndex}`);
  }
  if (!equalBytes(batchDigest(batchHeader), ref.digest)) {
    return fault('BATCH_DIGEST_MISMATCH', `the batch header is not that of ref ${batchIndex}`);
  }
  // A quorum of voters has compared them (R11).
  if (batchHeader.rollupId !== ref.rollupId) {
    return fault('BATCH_HEADER_MISMATCH', `the batch is of rollup ${batchHeader.rollupId}, its ref of ${ref.rollupId}`);
  }
  if (batchHeader.joinsNext !== ref.joinsNext) {
    return fault('BATCH_HEADER_MISMATCH', 'the batch and its ref differ on whether the next one belongs with it');
  }
  if (transactionIndex >= transactionCount) {
    return fault('NO_SUCH_TRANSACTION', `the batch has ${transactionCount} transactions, none at ${transactionIndex}`);
  }
  const open = (range: BodyRange, offset: number, length: number) =>
    verifyBodyRange(bodyRoot, byteLength, offset, length, range, hashes.sha256 ?? sha256);
  const isLast = transactionIndex + 1 === transactionCount;
  const offsets = open(receipt.offsets, OFFSET_BYTES * transactionIndex, OFFSET_BYTES * (isLast ? 1 : 2));
  if (!offsets) return fault('RANGE_NOT_PROVEN', 'the offsets are not shown to be those of the body');
  const view = new DataView(offsets.buffer, offsets.byteOffset, offsets.byteLength);
  const start = view.getUint32(0, true);
  const end = isLast ? byteLength : view.getUint32(OFFSET_BYTES, true);
  const transaction = open(receipt.transaction, start, end - start);
  if (!transaction) return fault('RANGE_NOT_PROVEN', 'the bytes are not shown to be those of the body');
  const hash = (hashes.keccak256 ?? keccak256)(transaction);
  if (!equalBytes(hash, receipt.transactionHash)) {
    return fault('TRANSACTION_MISMATCH', `it opens transaction ${toHex(hash)}, not ${toHex(receipt.transactionHash)}`);
  }
  return ok(transaction);
}

function fault(code: Fault['code'], reason: string): { readonly ok: false; readonly error: Fault } {
  return err({ code, reason });
}
