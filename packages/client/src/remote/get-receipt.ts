/** Asks for the receipt of a transaction and verifies it. */

import {
  type OrderingReceipt,
  ok,
  type Result,
  receiptFromJson,
  type SquadError,
  type TransactionHash,
  toHex,
} from '@squad/types';
import { refused } from '../proof/fault.ts';
import { type OrderedTransaction, verifyReceipt } from '../proof/receipt.ts';
import { type NetworkAccess, tellLie } from './api.ts';
import { askEach } from './ask-each.ts';
import { laterAccess } from './later-access.ts';

export interface VerifiedReceipt extends OrderedTransaction {
  /** To keep, or to hand on: `OrderingReceipt.serialize`, `receiptToJson`. */
  readonly receipt: OrderingReceipt;
}

/**
 * The first receipt that verifies, a final one before a soft one; undefined if no endpoint has one yet. Endpoints whose receipt
 * fails are told to `onLiar`. A receipt of a later epoch than the checkpoint's is judged once hand-over proofs lead to its set.
 * Throws the error of the last endpoint if none answered, `WRONG_VALIDATOR_SET` if all there is is of a set that cannot be reached
 * from the checkpoint, and `CONFLICTING_HISTORY`.
 *
 * @example
 * const receipt = await getReceipt(network, hash);
 * if (receipt?.stage === 'final') console.log('ordered in block', receipt.header.height);
 */
export async function getReceipt(
  access: NetworkAccess,
  hash: TransactionHash,
  signal?: AbortSignal,
): Promise<VerifiedReceipt | undefined> {
  let soft: VerifiedReceipt | undefined;
  let unknownSet: SquadError | undefined;
  for await (const { endpoint, answer } of askEach(access, 'squad_getReceipt', [hash], signal)) {
    if (answer === null) continue;
    const verified = await judge(answer, hash, access);
    if (!verified.ok) {
      // It may be of an epoch that the endpoints do not lead to: no lie.
      if (verified.error.code === 'WRONG_VALIDATOR_SET') unknownSet = verified.error;
      else tellLie(access, endpoint, verified.error);
    } else if (verified.value.stage === 'final') {
      return verified.value;
    } else {
      soft ??= verified.value;
    }
  }
  if (!soft && unknownSet) throw unknownSet;
  return soft;
}

async function judge(
  answer: unknown,
  hash: TransactionHash,
  access: NetworkAccess,
): Promise<Result<VerifiedReceipt, SquadError>> {
  const receipt = receiptFromJson(answer);
  if (!receipt.ok) return refused('the receipt', { code: 'ENCODING', reason: receipt.error.reason });
  let verified = verifyReceipt(receipt.value, access.checkpoint, access);
  if (!verified.ok && verified.error.code === 'WRONG_VALIDATOR_SET') {
    const later = await laterAccess(access, receipt.value.proof.validatorSet);
    if (later) verified = verifyReceipt(receipt.value, later.checkpoint, access);
  }
  if (!verified.ok) return verified;
  if (verified.value.hash !== hash.toLowerCase()) {
    const reason = `it is that of transaction ${toHex(receipt.value.transactionHash)}`;
    return refused('the receipt', { code: 'TRANSACTION_MISMATCH', reason });
  }
  return ok({ ...verified.value, receipt: receipt.value });
}
