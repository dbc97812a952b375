/**
 * The virtual machine over a rollup's state. Two additions to the library's, neither of which changes what a program
 * computes or pays: at jump destinations, through which every loop must go, and before calls, each of which may be a
 * precompile that takes longer than thousands of operations, the event loop gets its turn; and a run that only answers a
 * question can be given an end in time. One that answers a question can also be shown other fees than the
 * block's.
 */

import type { Common } from '@ethereumjs/common';
import { createEVM, type EVM, EVMError, type EVMMockBlockchainInterface, type EVMOpts } from '@ethereumjs/evm';
import { createVM, type VM } from '@ethereumjs/vm';
import type { Bytes32 } from '@squad/types';
import { breathe, breatheNow } from '../breathe.ts';
import type { EvmState } from './state.ts';

/** Never set for transactions: how long one takes must not decide what it does. */
export interface Deadline {
  /** On the clock of `performance.now`. */
  atMs: number;
  /** Set once the deadline ended a run. */
  passed: boolean;
}

/** What BASEFEE and BLOBBASEFEE answer, in wei, in place of what the block says. */
export interface ShownFees {
  base?: bigint | undefined;
  blob?: bigint | undefined;
}

export interface RollupVm {
  readonly vm: VM;
  /** Its `atMs` is infinite until someone sets it. */
  readonly deadline: Deadline;
  /** A run that threw may have left something there, which the next one must not see. */
  clearTransientStorage(): void;
}

const BASEFEE = 0x48;
const BLOBBASEFEE = 0x4a;
const JUMPDEST = 0x5b;
type CustomOpcodes = NonNullable<EVMOpts['customOpcodes']>;

/** `hashAt`: what the BLOCKHASH instruction sees. `shown`: for questions only, never for transactions. */
export async function createRollupVm(
  common: Common,
  stateManager: EvmState,
  hashAt: (number: number) => Bytes32,
  shown?: ShownFees,
): Promise<RollupVm> {
  const blockchain: EVMMockBlockchainInterface = {
    getBlock: async (number) => ({ hash: () => hashAt(number) }),
    putBlock: async () => {},
    shallowCopy: () => blockchain,
  };
  const deadline: Deadline = { atMs: Number.POSITIVE_INFINITY, passed: false };
  const customOpcodes: CustomOpcodes = [
    { opcode: JUMPDEST, opcodeName: 'JUMPDEST', baseFee: 1, logicFunction: () => stepFrom(deadline) },
    ...(shown === undefined ? [] : feesOf(shown)),
  ];
  const evm = await createEVM({ common, stateManager, blockchain, customOpcodes });
  breatheBeforeCalls(evm, deadline);
  const vm = await createVM({ common, stateManager, blockchain, evm });
  return { vm, deadline, clearTransientStorage: () => evm.transientStorage.clear() };
}

function feesOf(shown: ShownFees): CustomOpcodes {
  return [
    {
      opcode: BASEFEE,
      opcodeName: 'BASEFEE',
      baseFee: 2,
      logicFunction: ({ stack, interpreter }) => stack.push(shown.base ?? interpreter.getBlockBaseFee()),
    },
    {
      opcode: BLOBBASEFEE,
      opcodeName: 'BLOBBASEFEE',
      baseFee: 2,
      logicFunction: ({ stack, interpreter }) => stack.push(shown.blob ?? interpreter.getBlobBaseFee()),
    },
  ];
}

/** The library awaits what it returns. */
function stepFrom(deadline: Deadline): Promise<void> | undefined {
  if (deadline.passed) throw outOfTime(deadline);
  return breathe()?.then(() => {
    if (performance.now() >= deadline.atMs) throw outOfTime(deadline);
  });
}

/** Calls of contracts and creations; not the transaction's own, with which nothing has run yet. */
function breatheBeforeCalls(evm: EVM, deadline: Deadline): void {
  const runCall = evm.runCall.bind(evm);
  evm.runCall = async (options) => {
    if ((options.message?.depth ?? 0) > 0) {
      if (performance.now() >= deadline.atMs) throw outOfTime(deadline);
      await breatheNow();
    }
    return runCall(options);
  };
}

function outOfTime(deadline: Deadline): EVMError {
  deadline.passed = true;
  return new EVMError(EVMError.errorMessages.OUT_OF_GAS);
}
