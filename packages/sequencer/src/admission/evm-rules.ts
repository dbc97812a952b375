/** The rules of an Ethereum transaction that need no state: gas, fees, sizes. Numbers are those of the Prague fork. */

import type { EvmTransaction } from './evm-transaction.ts';
import { type Rejection, refused } from './rejection.ts';

const BASE_GAS = 21_000;
/** EIP-2028: a token is a zero byte, or a quarter of another. */
const GAS_PER_TOKEN = 4;
const TOKENS_PER_NONZERO_BYTE = 4;
/** EIP-7623. */
const FLOOR_GAS_PER_TOKEN = 10;
const CREATE_GAS = 32_000;
/** EIP-3860. */
export const MAX_INIT_CODE_BYTES = 49_152;
const INIT_CODE_GAS_PER_WORD = 2;
/** EIP-2930. */
const ACCESS_LIST_ADDRESS_GAS = 2_400;
const ACCESS_LIST_KEY_GAS = 1_900;
/** EIP-7702. */
const AUTHORIZATION_GAS = 25_000;
const MAX_UINT256 = 2n ** 256n - 1n;
/** EIP-7825 (Osaka): most gas that one transaction may ask for. */
export const OSAKA_MAX_TRANSACTION_GAS = 2n ** 24n;

export interface EvmRules {
  /** Whether the rollups run Osaka, which caps a transaction's gas. */
  readonly osaka: boolean;
}

/** What the transaction costs before it runs, and the least that it is charged for its calldata whatever it uses. */
function intrinsicGas(transaction: EvmTransaction): { readonly intrinsic: number; readonly floor: number } {
  const { data, to, accessListAddresses, accessListKeys, authorizations } = transaction;
  let zeros = 0;
  for (let i = 0; i < data.length; i++) if (data[i] === 0) zeros++;
  const tokens = zeros + TOKENS_PER_NONZERO_BYTE * (data.length - zeros);
  const creation = to === undefined ? CREATE_GAS + INIT_CODE_GAS_PER_WORD * Math.ceil(data.length / 32) : 0;
  return {
    intrinsic:
      BASE_GAS +
      GAS_PER_TOKEN * tokens +
      creation +
      ACCESS_LIST_ADDRESS_GAS * accessListAddresses +
      ACCESS_LIST_KEY_GAS * accessListKeys +
      AUTHORIZATION_GAS * authorizations,
    floor: BASE_GAS + FLOOR_GAS_PER_TOKEN * tokens,
  };
}

/** The first rule that the transaction breaks; undefined if it breaks none. Words are those of other Ethereum nodes. */
export function brokenRule(transaction: EvmTransaction, rules: EvmRules): Rejection | undefined {
  return brokenFeeRule(transaction) ?? brokenSizeRule(transaction) ?? brokenGasRule(transaction, rules);
}

function brokenFeeRule({ maxFeePerGas, maxPriorityFeePerGas, gasLimit }: EvmTransaction): Rejection | undefined {
  if (maxPriorityFeePerGas > maxFeePerGas) {
    return refused(
      'FEE_INVALID',
      `max priority fee per gas higher than max fee per gas: ${maxPriorityFeePerGas} > ${maxFeePerGas}`,
      'Set maxFeePerGas to maxPriorityFeePerGas or more.',
    );
  }
  // No balance could pay for it, and the rollup's decoder refuses it: ordered, it would only be skipped.
  if (gasLimit * maxFeePerGas > MAX_UINT256) {
    return refused(
      'FEE_INVALID',
      `gas limit times max fee per gas is above 2^256-1: ${gasLimit} times ${maxFeePerGas}`,
      'Set maxFeePerGas to wei, not to a smaller unit.',
    );
  }
  return undefined;
}

function brokenSizeRule({ to, data }: EvmTransaction): Rejection | undefined {
  if (to !== undefined || data.length <= MAX_INIT_CODE_BYTES) return undefined;
  return refused(
    'INIT_CODE_TOO_LARGE',
    `max initcode size exceeded: code size ${data.length}, limit ${MAX_INIT_CODE_BYTES} bytes`,
    'Split the contract.',
  );
}

function brokenGasRule(transaction: EvmTransaction, rules: EvmRules): Rejection | undefined {
  const { gasLimit } = transaction;
  if (rules.osaka && gasLimit > OSAKA_MAX_TRANSACTION_GAS) {
    return refused(
      'GAS_TOO_HIGH',
      `transaction gas limit too high: ${gasLimit}, cap ${OSAKA_MAX_TRANSACTION_GAS} (EIP-7825)`,
      `Set the gas limit to ${OSAKA_MAX_TRANSACTION_GAS} or less, or split the work.`,
    );
  }
  const { intrinsic, floor } = intrinsicGas(transaction);
  if (gasLimit < BigInt(intrinsic)) return gasTooLow('intrinsic gas too low', gasLimit, intrinsic);
  if (gasLimit < BigInt(floor)) return gasTooLow('insufficient gas for floor data gas cost', gasLimit, floor);
  return undefined;
}

function gasTooLow(what: string, gasLimit: bigint, needed: number): Rejection {
  return refused(
    'GAS_TOO_LOW',
    `${what}: gas ${gasLimit}, minimum needed ${needed}`,
    `Set the gas limit to ${needed} or more.`,
  );
}
