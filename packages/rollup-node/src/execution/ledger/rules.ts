/** A plain key-value ledger as a rollup: shows that a rollup's rules need not be the EVM's, and how little they need. */

import { type KeyValueRules, type KeyValueState, MalformedTransaction } from '../key-value/executor.ts';
import { decodeLedgerTransaction } from './transaction.ts';

const MODULUS = 1n << 256n;

export const ledgerRules: KeyValueRules = (bytes, state) => {
  const decoded = decodeLedgerTransaction(bytes);
  if (!decoded.ok) throw new MalformedTransaction(decoded.error);
  const transaction = decoded.value;
  if (transaction.op === 'set') return state.set(transaction.key, transaction.value);
  const { from, to, amount } = transaction;
  const held = balanceOf(state, from);
  const received = balanceOf(state, to);
  if (held < BigInt(amount)) throw new Error(`"${from}" holds ${held}, less than ${amount}`);
  if (received + BigInt(amount) >= MODULUS) throw new Error(`"${to}" would hold more than 2^256-1`);
  if (from === to) return;
  state.set(from, String(held - BigInt(amount)));
  state.set(to, String(received + BigInt(amount)));
};

function balanceOf(state: KeyValueState, key: string): bigint {
  const value = state.get(key);
  if (value === '') return 0n;
  if (!/^(0|[1-9][0-9]{0,77})$/.test(value)) throw new Error(`"${key}" does not hold a number`);
  return BigInt(value);
}
