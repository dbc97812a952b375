/** Questions to the state of an EVM rollup at some block: accounts, storage, proofs, calls that change nothing. */

import { type Account, Address, KECCAK256_NULL, KECCAK256_RLP } from '@ethereumjs/util';
import type { RunTxResult } from '@ethereumjs/vm';
import { SquadError } from '@squad/types';
import { Mutex } from '../mutex.ts';
import { makeBlock } from './block.ts';
import { CallRefused, type CallRequest, REFUSAL } from './call-request.ts';
import type { EvmExecutor } from './executor.ts';
import { failureWords } from './failure.ts';
import type { FoundTransaction, StagedBlock } from './history.ts';
import { type AccountOverride, type BlockOverrides, overriddenFields, overrideAccounts } from './overrides.ts';
import { runCall } from './run-call.ts';
import { BlockSimulation, type SimulatedBlock, type SimulatedBlockPlan, type SimulationOptions } from './simulate.ts';
import { EvmState, type StateRoot, stateRootFromHash } from './state.ts';
import { MAX_WAITING_TRACES, Replay, type TracedCall, type TracerOf } from './trace.ts';
import { createRollupVm, type RollupVm, type ShownFees } from './vm.ts';

/** Simulated calls that run at once, taking turns; more wait. */
export const MAX_CONCURRENT_CALLS = 4;
/** Simulated calls that run or wait; more are refused. */
export const MAX_WAITING_CALLS = 256;
/** Milliseconds after which a simulated call is ended. */
export const CALL_TIMEOUT_MS = 5000;

/** What a call has that another than its sender says. */
export interface CallContext {
  /** The most gas that it gets. */
  readonly gasCap: bigint;
  readonly overrides?: readonly AccountOverride[];
  readonly blockOverrides?: BlockOverrides;
}

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
  | { readonly ok: false; readonly refused: CallRefused };

export interface ProvenAccount {
  readonly account: Account | undefined;
  readonly accountProof: readonly Uint8Array[];
  readonly storage: readonly { readonly value: Uint8Array; readonly proof: readonly Uint8Array[] }[];
}

interface Worker extends RollupVm {
  readonly state: EvmState;
  readonly shown: ShownFees;
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

  /** Runs the call on top of the block and undoes it. */
  async call(request: CallRequest, block: StagedBlock, context: CallContext): Promise<CallResult> {
    if (this.#calls >= MAX_WAITING_CALLS) {
      return refusal(`the node is busy: ${MAX_WAITING_CALLS} calls are waiting`);
    }
    this.#calls++;
    try {
      return await explained(block, () => this.#run(request, block, context));
    } finally {
      this.#calls--;
    }
  }

  /**
   * Runs a transaction again under the eyes of a tracer; `parent` is the block before its own. Throws SquadError
   * `TRACE_BUSY`, `TRACE_TOO_LARGE` or `TRACE_TIMEOUT`, as all traces do.
   */
  trace<Answer>({ block, index }: FoundTransaction, parent: StagedBlock, tracerOf: TracerOf<Answer>): Promise<Answer> {
    return this.#replay(block, this.#rootOf(parent), (replay) => replay.transaction(index, tracerOf));
  }

  /** All transactions of a block, one budget for them together. */
  traceBlock<Answer>(block: StagedBlock, parent: StagedBlock, tracerOf: TracerOf<Answer>): Promise<Answer[]> {
    return this.#replay(block, this.#rootOf(parent), (replay) => replay.all(tracerOf));
  }

  /** `parent`: needed if the call has an index in its block. Throws `CallRefused`, too. */
  traceCall<Answer>(
    call: TracedCall,
    block: StagedBlock,
    parent: StagedBlock | undefined,
    tracerOf: TracerOf<Answer>,
  ): Promise<Answer> {
    const open = parent === undefined && block.stage === 'open';
    const root = open ? this.#executor.latestState : this.#rootOf(parent ?? block);
    return this.#replay(block, root, async (replay) => {
      if (open) await this.#executor.mutex.run(async () => replay.state.copyFrom(this.#executor.state));
      return replay.call(call, tracerOf);
    });
  }

  /** Blocks that could follow `block`, with calls in them. Throws SquadError `TRACE_BUSY`, or `CallRefused`. */
  async simulate(
    plan: readonly SimulatedBlockPlan[],
    block: StagedBlock,
    options: SimulationOptions,
  ): Promise<SimulatedBlock[]> {
    return this.#alone(() =>
      explained(block, async () => {
        const open = block.stage === 'open';
        const root = open ? this.#executor.latestState : this.#rootOf(block);
        const simulation = await BlockSimulation.begin(this.#executor, root, block, options);
        if (open) await this.#executor.mutex.run(async () => simulation.state.copyFrom(this.#executor.state));
        return simulation.run(plan);
      }),
    );
  }

  #replay<Answer>(block: StagedBlock, root: StateRoot, run: (replay: Replay) => Promise<Answer>): Promise<Answer> {
    return this.#alone(() => explained(block, async () => run(await Replay.open(this.#executor, block, root))));
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

  async #run(request: CallRequest, block: StagedBlock, context: CallContext): Promise<CallResult> {
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
        const result = await ask(worker, request, block, context);
        if (!worker.deadline.passed) return result;
        return refusal(`execution aborted (timeout = ${CALL_TIMEOUT_MS} ms)`);
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
      const shown: ShownFees = {};
      const hashAt = (number: number) => this.#executor.hashAt(number);
      const rollupVm = await createRollupVm(this.#executor.common, state, hashAt, shown);
      const worker: Worker = { ...rollupVm, state, shown, mutex: new Mutex(), waiting: 0 };
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

/** On the worker's state, of which nothing that the call or the overrides changed is left. */
async function ask(
  worker: Worker,
  request: CallRequest,
  block: StagedBlock,
  { gasCap, overrides = [], blockOverrides = {} }: CallContext,
): Promise<CallResult> {
  const { vm, state, shown } = worker;
  await state.checkpoint();
  let restore = () => {};
  try {
    restore = await overrideAccounts(worker, overrides);
    shown.blob = blockOverrides.blobBaseFee;
    const gas = request.gas === undefined || request.gas > gasCap ? gasCap : request.gas;
    const environment = makeBlock(vm.common, { ...block.header, ...overriddenFields(blockOverrides) });
    return resultOf((await runCall(worker, request, gas, environment)).result);
  } catch (error) {
    if (!(error instanceof CallRefused)) throw error;
    return { ok: false, refused: error };
  } finally {
    restore();
    await state.revert();
  }
}

function refusal(message: string): CallResult {
  return { ok: false, refused: new CallRefused(REFUSAL.request, message) };
}

function resultOf(result: RunTxResult): CallResult {
  const { exceptionError, returnValue } = result.execResult;
  if (exceptionError === undefined) {
    const { totalGasSpent: gasUsed, gasRefund: refund, accessList = [] } = result;
    return { ok: true, returned: returnValue, gasUsed, refund, accessList };
  }
  const reverted = exceptionError.error === 'revert';
  const reason = failureWords(exceptionError.error);
  return { ok: false, reverted, reason, data: returnValue, gasUsed: result.totalGasSpent };
}

export const EMPTY_CODE_HASH: Uint8Array = KECCAK256_NULL;
export const EMPTY_STORAGE_ROOT: Uint8Array = KECCAK256_RLP;
