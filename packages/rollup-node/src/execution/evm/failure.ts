/** Why a call failed, in geth's words (core/vm/errors.go) where the library has others: tools match on them. */

import type { InterpreterStep } from '@ethereumjs/evm';

const WORDS: Readonly<Record<string, string>> = {
  revert: 'execution reverted',
  'static state change': 'write protection',
  'create collision': 'contract address collision',
  'code size to deposit exceeds maximum code size': 'max code size exceeded',
  'code store out of gas': 'contract creation code storage out of gas',
  'initcode exceeds max initcode size': 'max initcode size exceeded',
  'invalid bytecode deployed': 'invalid code: must not begin with 0xef',
  'insufficient balance': 'insufficient balance for transfer',
  'stack overflow': 'stack limit reached 1024 (1023)',
  // Also of what is not defined: the library does not tell them apart.
  'invalid opcode': 'invalid opcode: INVALID',
  'value out of range': 'out of gas: gas uint64 overflow',
};

/** EIP-2200: with so much gas or less nothing is stored. */
const SENTRY_GAS = 2300n;

/** `last`: the operation that failed, if it is known. */
export function failureWords(error: string, last?: InterpreterStep): string {
  // The library's goes on with the place in the code.
  if (error.startsWith('invalid JUMP')) return 'invalid jump destination';
  if (error === 'out of gas' && last !== undefined && isBelowSentry(last)) {
    return 'out of gas: not enough gas for reentrancy sentry';
  }
  return WORDS[error] ?? error;
}

/** Whether the operation is a store that the reentrancy sentry refuses. */
export function isBelowSentry({ opcode, gasLeft }: InterpreterStep): boolean {
  return opcode.name === 'SSTORE' && gasLeft <= SENTRY_GAS;
}
