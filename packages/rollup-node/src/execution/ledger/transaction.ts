/**
 * Transactions of the ledger rollup, the smallest useful executor: canonical JSON, one object, keys in this order, no
 * white space.
 *
 * - `{"op":"set","key":"…","value":"…","nonce":"…"}` writes a value; an empty one deletes the key.
 * - `{"op":"transfer","from":"…","to":"…","amount":"…","nonce":"…"}` moves between decimal values. A key that holds
 *   nothing counts as 0; `from` must hold enough.
 *
 * There are no signatures: who may write is not this executor's question. A rollup team takes it as a pattern for its own.
 * `nonce` is any text that tells two otherwise equal transactions apart.
 */

import { err, ok, type Result } from '@squad/types';
import { z } from 'zod';

/** UTF-16 units of a key. */
export const MAX_LEDGER_KEY_LENGTH = 128;
/** UTF-16 units of a value. */
export const MAX_LEDGER_VALUE_LENGTH = 4096;

/** A lone surrogate has no UTF-8 of its own: two such keys would be one in the store. */
const wellFormed = z.string().refine((value) => value.isWellFormed(), { error: 'holds a lone surrogate' });
const key = wellFormed.min(1).max(MAX_LEDGER_KEY_LENGTH);
const nonce = wellFormed.max(64);
const amount = z.string().regex(/^(0|[1-9][0-9]{0,77})$/);

const LedgerTransaction = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('set'), key, value: wellFormed.max(MAX_LEDGER_VALUE_LENGTH), nonce }),
  z.strictObject({ op: z.literal('transfer'), from: key, to: key, amount, nonce }),
]);
export type LedgerTransaction = z.infer<typeof LedgerTransaction>;

export function encodeLedgerTransaction(transaction: LedgerTransaction): Uint8Array {
  return new TextEncoder().encode(canonical(transaction));
}

export function decodeLedgerTransaction(bytes: Uint8Array): Result<LedgerTransaction, string> {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text);
  } catch {
    return err('not JSON in UTF-8');
  }
  const parsed = LedgerTransaction.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    return err(`${issue.path.map(String).join('.') || 'the transaction'}: ${issue.message}`);
  }
  return canonical(parsed.data) === text ? ok(parsed.data) : err('not in canonical form: key order or white space');
}

function canonical(transaction: LedgerTransaction): string {
  const { op, nonce: last } = transaction;
  return op === 'set'
    ? JSON.stringify({ op, key: transaction.key, value: transaction.value, nonce: last })
    : JSON.stringify({ op, from: transaction.from, to: transaction.to, amount: transaction.amount, nonce: last });
}
