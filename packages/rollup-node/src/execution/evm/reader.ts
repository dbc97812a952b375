/** Questions to the state of an EVM rollup at some block: accounts, storage, proofs, calls that change nothing. */

import { Block } from '@ethereumjs/block';
import type { TypedTransaction } from '@ethereumjs/tx';
import { type Account, Address, KECCAK256_NULL, KECCAK256_RLP } from '@ethereumjs/util';
import { type RunTxResult, runTx, type VM } from '@ethereumjs/vm';
import { SquadError } from '@squad/types';
import { Mutex } from '../mutex.ts';
import { makeHeader } from './block.ts';
import { type CallRequest, hasCode, isDelegated, unsigned } from './call-request.ts';
import type { EvmExecutor } from './executor.ts';
import type { FoundTransaction, StagedBlock } from './history.ts';
import { BlockSimulation, type SimulatedBlock, type SimulatedBlockPlan } from './simulate.ts';
import { EvmState, type StateRoot, stateRootFromHash } from './state.ts';
import { MAX_WAITING_TRACES, type TraceBudget, type Tracer, traceTransaction } from './trace.ts';
import { firstSentence } from './transaction.ts';
import { createRollupVm, type RollupVm } from './vm.ts';

/** Simulated calls that run at once, taking turns; more wait. */
export const MAX_CONCURRENT_CALLS = 4;
/** Simulated calls that run or wait; more are refused. */
export const MAX_WAITING_CALLS = 256;
/** Milliseconds after which a simulated call is ended. */
export const CALL_TIMEOUT_MS = 5000;

/** EIP-7825, from the Osaka rules on. */
const MAX_TRANSACTION_GAS = 16_777_216n;

export type CallResult =
  | {
      readonly ok: true;
      readonly returned: Uint8Array;
      readonly gasUsed: bigint;
      readonly refund: bigint;
      readonly accessList: NonNullable<RunTxResult['accessList']>;
    }
  /** `reverted`: the contract said so, with data. Otherwise `reason` is the EVM's own, such as `out of gas`. */
  | {
      readonly ok: false;
      readonly reverted: boolean;
      readonly reason: string;
      readonly data: Uint8Array;
      readonly gasUsed: bigint;
    }
  /** Refused before it ran, as a transaction would be. */
  | { readonly ok: false; readonly refused: string };

export interface ProvenAccount {
  readonly account: Account | undefined;
  readonly accountProof: readonly Uint8Array[];
  readonly storage: readonly { readonly value: Uint8Array; readonly proof: readonly Uint8Array[] }[];
}

interface Worker extends RollupVm {
  readonly state: EvmState;
  readonly mutex: Mutex;
  waiting: number;
}

export class EvmReader {
  readonly #executor: EvmExecutor;
  readonly #workers: Worker[] = [];
  #calls = 0;
  readonly #tracing = new Mutex();
  #traces = 0;

  constructor(executor: EvmExecutor) {
    this.#executor = executor;
  }

  async account(address: Uint8Array, block: StagedBlock): Promise<Account | undefined> {
    return this.#withState(block, (state) => state.getAccount(new Address(address)));
  }

  async code(address: Uint8Array, block: StagedBlock): Promise<Uint8Array> {
    return this.#withState(block, (state) => state.getCode(new Address(address)));
  }

  /** A word without leading zeros. */
  async storage(address: Uint8Array, slot: Uint8Array, block: StagedBlock): Promise<Uint8Array> {
    return this.#withState(block, (state) => state.getStorage(new Address(address), slot));
  }

  /** EIP-1186. For sealed blocks only: an open one has no state root yet. */
  async proof(address: Uint8Array, slots: readonly Uint8Array[], block: StagedBlock): Promise<ProvenAccount> {
    return this.#withState(block, async (state) => {
      const account = await state.getAccount(new Address(address));
      const proof = state.proof(new Address(address), slots);
      const storage = [];
      for (const [index, slot] of slots.entries()) {
        storage.push({ value: await state.getStorage(new Address(address), slot), proof: proof.storage[index]! });
      }
      return { account, accountProof: proof.account, storage };
    });
  }

  /** Runs the call on top of the block, with `gasCap` at most, and undoes it. */
  async call(request: CallRequest, block: StagedBlock, gasCap: bigint): Promise<CallResult> {
    if (this.#calls >= MAX_WAITING_CALLS) {
      return { ok: false, refused: `the node is busy: ${MAX_WAITING_CALLS} calls are waiting` };
    }
    this.#calls++;
    try {
      return await explained(block, () => this.#run(request, block, gasCap));
    } finally {
      this.#calls--;
    }
  }

  /**
   * Runs a transaction again under the eyes of a tracer; `parent` is the block before its own. Throws SquadError
   * `TRACE_BUSY`, `TRACE_TOO_LARGE` or `TRACE_TIMEOUT`.
   */
  async trace<Answer>(
    found: FoundTransaction,
    parent: StagedBlock,
    tracer: Tracer<Answer>,
    budget: TraceBudget,
  ): Promise<Answer> {
    return this.#alone(() =>
      explained(found.block, () => traceTransaction(this.#executor, found, this.#rootOf(parent), tracer, budget)),
    );
  }

  /** Blocks that could follow `block`, with calls in them. Throws SquadError `TRACE_BUSY`, or `SimulationRefused`. */
  async simulate(plan: readonly SimulatedBlockPlan[], block: StagedBlock, gasCap: bigint): Promise<SimulatedBlock[]> {
    return this.#alone(() =>
      explained(block, async () => {
        const open = block.stage === 'open';
        const root = open ? this.#executor.latestState : this.#rootOf(block);
        const simulation = await BlockSimulation.begin(this.#executor, root, block, gasCap);
        if (open) await this.#executor.mutex.run(async () => simulation.state.copyFrom(this.#executor.state));
        return simulation.run(plan);
      }),
    );
  }

  /** What takes long and much memory: one after another. */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#traces >= MAX_WAITING_TRACES) {
      const message = `the node is busy: ${MAX_WAITING_TRACES} traces or simulations are waiting`;
      throw new SquadError('TRACE_BUSY', message, 'Ask again later.');
    }
    this.#traces++;
    try {
      return await this.#tracing.run(work);
    } finally {
      this.#traces--;
    }
  }

  async #run(request: CallRequest, block: StagedBlock, gasCap: bigint): Promise<CallResult> {
    const worker = await this.#worker();
    worker.waiting++;
    try {
      return await worker.mutex.run(async () => {
        if (block.stage === 'open')
          await this.#executor.mutex.run(async () => worker.state.copyFrom(this.#executor.state));
        else worker.state.reset(this.#rootOf(block));
        worker.clearTransientStorage();
        worker.deadline.passed = false;
        worker.deadline.atMs = performance.now() + CALL_TIMEOUT_MS;
        const result = await simulate(worker.vm, request, block, gasCap);
        if (!worker.deadline.passed) return result;
        return { ok: false, refused: `execution aborted (timeout = ${CALL_TIMEOUT_MS} ms)` };
      });
    } finally {
      worker.waiting--;
    }
  }

  #withState<T>(block: StagedBlock, read: (state: EvmState) => Promise<T>): Promise<T> {
    if (block.stage === 'open') return this.#executor.mutex.run(() => read(this.#executor.state));
    return explained(block, () => read(new EvmState(this.#executor.source, this.#rootOf(block))));
  }

  /** Recent roots share the trie that is in memory; older ones are read from the store. */
  #rootOf(block: StagedBlock): StateRoot {
    const { latest, latestState, provisional } = this.#executor;
    const { number, stateRoot } = block.summary;
    if (number === latest.number) return latestState;
    const held = number > latest.number ? provisional[number - latest.number - 1] : undefined;
    return held?.changes.root ?? stateRootFromHash(stateRoot);
  }

  async #worker(): Promise<Worker> {
    if (this.#workers.length < MAX_CONCURRENT_CALLS && this.#workers.every(({ waiting }) => waiting > 0)) {
      const state = new EvmState(this.#executor.source, this.#executor.latestState);
      const rollupVm = await createRollupVm(this.#executor.common, state, (number) => this.#executor.hashAt(number));
      const worker: Worker = { ...rollupVm, state, mutex: new Mutex(), waiting: 0 };
      this.#workers.push(worker);
      return worker;
    }
    return this.#workers.reduce((best, worker) => (worker.waiting < best.waiting ? worker : best));
  }
}

/** A soft block's state is dropped with the block: if it is replaced while it is read, nothing is wrong with the store. */
async function explained<T>(block: StagedBlock, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (block.stage === 'final' || !(error instanceof SquadError && error.code.startsWith('STATE_'))) throw error;
    const number = block.summary.number;
    throw new SquadError('BLOCK_REPLACED', `soft block ${number} was replaced while it was read`, 'Ask again.', {
      number,
    });
  }
}

async function simulate(vm: VM, request: CallRequest, block: StagedBlock, gasCap: bigint): Promise<CallResult> {
  const cap = vm.common.isActivatedEIP(7825) && gasCap > MAX_TRANSACTION_GAS ? MAX_TRANSACTION_GAS : gasCap;
  const gas = request.gas === undefined || request.gas > cap ? cap : request.gas;
  const state = vm.stateManager;
  await state.checkpoint();
  try {
    const sender = await state.getAccount(new Address(request.from));
    const paid = request.gasPrice ?? request.maxFeePerGas ?? 0n;
    const needed = (request.value ?? 0n) + paid * (request.gas ?? 0n);
    if (needed > (sender?.balance ?? 0n)) {
      const have = sender?.balance ?? 0n;
      return { ok: false, refused: `insufficient funds for gas * price + value: have ${have} want ${needed}` };
    }
    const environment = environmentOf(vm, block, paid === 0n, gas);
    const tx = unsigned(vm.common, request, gas, sender?.nonce ?? 0n);
    if (hasCode(sender) && !isDelegated(await state.getCode(new Address(request.from)))) {
      return await callFromContract(vm, tx, environment);
    }
    const result = await runTx(vm, {
      tx,
      block: environment,
      skipNonce: true,
      skipBalance: true,
      skipHardForkValidation: true,
      skipBlockGasLimitValidation: true,
      reportAccessList: true,
    });
    return resultOf(result);
  } catch (error) {
    if (error instanceof SquadError) throw error;
    return { ok: false, refused: firstSentence(error) };
  } finally {
    await state.revert();
  }
}

/** A transaction cannot come from a contract (EIP-3607), but a call may ask what would happen if it did. */
async function callFromContract(vm: VM, tx: TypedTransaction, block: Block): Promise<CallResult> {
  const intrinsic = tx.getIntrinsicGas();
  if (tx.gasLimit < intrinsic)
    return { ok: false, refused: `intrinsic gas too low: have ${tx.gasLimit}, want ${intrinsic}` };
  const { to, value, data } = tx;
  const gasLimit = tx.gasLimit - intrinsic;
  const target = to === undefined ? {} : { to };
  const { execResult } = await vm.evm.runCall({
    caller: tx.getSenderAddress(),
    ...target,
    value,
    data,
    gasLimit,
    block,
  });
  await vm.evm.journal.cleanup();
  const { exceptionError, returnValue, gasRefund: refund = 0n } = execResult;
  const gasUsed = execResult.executionGasUsed + intrinsic;
  if (exceptionError === undefined) return { ok: true, returned: returnValue, gasUsed, refund, accessList: [] };
  const reverted = exceptionError.error === 'revert';
  return { ok: false, reverted, reason: exceptionError.error, data: returnValue, gasUsed };
}

/** As the block saw it; without a base fee if the call offers no price, as other nodes do it. */
function environmentOf(vm: VM, block: StagedBlock, free: boolean, gas: bigint): Block {
  const gasLimit = block.header.gasLimit > gas ? block.header.gasLimit : gas;
  const fields = { ...block.header, gasLimit, ...(free ? { baseFeePerGas: 0n } : {}) };
  const header = makeHeader(vm.common, fields);
  return new Block(header, [], [], [], { common: vm.common, skipConsensusFormatValidation: true });
}

function resultOf(result: RunTxResult): CallResult {
  const { exceptionError, returnValue } = result.execResult;
  if (exceptionError === undefined) {
    const { totalGasSpent: gasUsed, gasRefund: refund, accessList = [] } = result;
    return { ok: true, returned: returnValue, gasUsed, refund, accessList };
  }
  const reverted = exceptionError.error === 'revert';
  return { ok: false, reverted, reason: exceptionError.error, data: returnValue, gasUsed: result.totalGasSpent };
}

export const EMPTY_CODE_HASH: Uint8Array = KECCAK256_NULL;
export const EMPTY_STORAGE_ROOT: Uint8Array = KECCAK256_RLP;
