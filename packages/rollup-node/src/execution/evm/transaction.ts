/** Transactions as they are ordered: decoded strictly, with their sender. */

import type { Common } from '@ethereumjs/common';
import { createTxFromRLP, type TypedTransaction } from '@ethereumjs/tx';
import { Address } from '@ethereumjs/util';
import type { ExecutionOutcome } from '../api.ts';
import { PlainTransaction } from './plain-transaction.ts';

export type SignedTransaction = PlainTransaction | TypedTransaction;

export interface SentTransaction {
  readonly transaction: SignedTransaction;
  /** 20 bytes. */
  readonly from: Uint8Array;
}

/** Decodes what is known to be a transaction; throws if it is none. Byte fields may be views into the raw bytes. */
export function decodeKnown(raw: Uint8Array, common: Common): SignedTransaction {
  return PlainTransaction.decode(raw, common.chainId()) ?? createTxFromRLP(raw, { common });
}

/** Decodes a transaction strictly and recovers its sender, unless that is known already. */
export function decodeTransaction(
  raw: Uint8Array,
  common: Common,
  knownSender?: Uint8Array,
): SentTransaction | (ExecutionOutcome & { readonly status: 'skipped' }) {
  const plain = PlainTransaction.decode(raw, common.chainId());
  const from = plain && (knownSender ?? plain.recoverSender());
  if (plain !== undefined && from !== undefined) return { transaction: plain, from };
  if (raw[0] === 3) {
    return { status: 'skipped', code: 'UNSUPPORTED', reason: 'blob transactions are not part of this rollup' };
  }
  try {
    const transaction = createTxFromRLP(raw, { common });
    // Another encoding of the same transaction would have another hash: its sender would never find it.
    if (Buffer.compare(transaction.serialize(), raw) !== 0) {
      return { status: 'skipped', code: 'MALFORMED', reason: 'not the canonical encoding of the transaction' };
    }
    return { transaction, from: knownSender ?? transaction.getSenderAddress().bytes };
  } catch (error) {
    return { status: 'skipped', code: 'MALFORMED', reason: firstSentence(error) };
  }
}

/** The library's own object, which does not recover the sender again. */
export function libraryTransaction(raw: Uint8Array, common: Common, from: Uint8Array): TypedTransaction {
  const transaction = createTxFromRLP(raw, { common, freeze: false });
  const sender = new Address(from);
  transaction.getSenderAddress = () => sender;
  return transaction;
}

/** Wei for each gas, in a block with this base fee. */
export function effectiveGasPrice(transaction: SignedTransaction, baseFee: bigint): bigint {
  if (!('maxFeePerGas' in transaction)) return transaction.gasPrice;
  const { maxFeePerGas, maxPriorityFeePerGas } = transaction;
  return maxPriorityFeePerGas < maxFeePerGas - baseFee ? baseFee + maxPriorityFeePerGas : maxFeePerGas;
}

/** The most that a sender may be charged for each gas, in wei. */
export function maxGasPrice(transaction: SignedTransaction): bigint {
  return 'maxFeePerGas' in transaction ? transaction.maxFeePerGas : transaction.gasPrice;
}

/** The library's messages end in a description of the whole block and vm. */
export function firstSentence(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/ \((vm |tx ).*$/s, '').slice(0, 300);
}
