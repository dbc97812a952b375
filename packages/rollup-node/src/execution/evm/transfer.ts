/**
 * What a plain transaction to an account without code does: moves value and pays for gas. No interpreter is needed for it,
 * nor anything that could have to be undone. Everything else is left to the EVM, which comes to the same where both can.
 */

import type { Common } from '@ethereumjs/common';
import { MAX_INTEGER } from '@ethereumjs/util';
import type { PlainTransaction } from './plain-transaction.ts';
import type { EvmState } from './state.ts';
import { effectiveGasPrice } from './transaction.ts';

const BASE_GAS = 21_000;
/** EIP-2028: a token is a zero byte, or a quarter of another. */
const GAS_PER_TOKEN = 4;
const TOKENS_PER_NONZERO_BYTE = 4;
/** EIP-7623. */
const FLOOR_GAS_PER_TOKEN = 10;
/** Addresses that begin with so many zero bytes may be precompiled contracts. */
const PRECOMPILE_ZERO_BYTES = 18;

/** What the block says about gas. */
export interface GasTerms {
  readonly coinbase: Uint8Array;
  /** Wei. */
  readonly baseFeePerGas: bigint;
  /** EIP-7623 is in force. */
  readonly hasCalldataFloor: boolean;
}

/** What a plain transaction uses if no code runs, and the least gas limit that it may have. */
export function transferGas({ data }: PlainTransaction, hasCalldataFloor: boolean): bigint {
  let zeros = 0;
  for (let i = 0; i < data.length; i++) if (data[i] === 0) zeros++;
  const tokens = zeros + TOKENS_PER_NONZERO_BYTE * (data.length - zeros);
  return BigInt(BASE_GAS + (hasCalldataFloor ? FLOOR_GAS_PER_TOKEN : GAS_PER_TOKEN) * tokens);
}

export function hasCalldataFloor(common: Common): boolean {
  return common.isActivatedEIP(7623);
}

/**
 * Returns the gas used; undefined, and nothing was done, if it takes the EVM to execute it or to say why it cannot be. The
 * sender's nonce and its balance for the most that the transaction can cost have been checked.
 */
export function executeTransfer(
  state: EvmState,
  transaction: PlainTransaction,
  from: Uint8Array,
  { coinbase, baseFeePerGas, hasCalldataFloor }: GasTerms,
): bigint | undefined {
  const { value, gasLimit, maxFeePerGas } = transaction;
  const to = transaction.to.bytes;
  const gas = transferGas(transaction, hasCalldataFloor);
  if (gasLimit < gas || maxFeePerGas < baseFeePerGas || mayBePrecompile(to)) return undefined;
  const recipient = state.peek(to);
  if (recipient?.isContract() || state.peek(from)?.isContract()) return undefined;
  if ((recipient?.balance ?? 0n) + value > MAX_INTEGER) return undefined;

  const price = effectiveGasPrice(transaction, baseFeePerGas);
  state.adjust(from, -value - gas * price, 1n);
  state.adjust(to, value, 0n);
  state.adjust(coinbase, gas * (price - baseFeePerGas), 0n);
  // EIP-161: what was touched and is empty ceases to be.
  state.deleteEmpty(to);
  state.deleteEmpty(coinbase);
  return gas;
}

function mayBePrecompile(address: Uint8Array): boolean {
  for (let i = 0; i < PRECOMPILE_ZERO_BYTES; i++) if (address[i] !== 0) return false;
  return true;
}
