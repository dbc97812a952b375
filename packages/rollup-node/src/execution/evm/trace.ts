/**
 * Runs transactions of a block once more, on the state that they had then, and lets a tracer look at each step; or a call that
 * is no transaction. What is executed and what it costs is the block's own; a tracer only looks, and gives up when there is
 * too much to look at.
 */

import type { Block } from '@ethereumjs/block';
import type { EVM, EVMResult, InterpreterStep, Message } from '@ethereumjs/evm';
import { type RunTxResult, runTx } from '@ethereumjs/vm';
import { SquadError } from '@squad/types';
import { breatheNow } from '../breathe.ts';
import { makeBlock } from './block.ts';
import type { CallRequest } from './call-request.ts';
import type { EvmExecutor } from './executor.ts';
import type { FoundTransaction, StagedBlock } from './history.ts';
import { type AccountOverride, type BlockOverrides, overriddenFields, overrideAccounts } from './overrides.ts';
import { PlainTransaction } from './plain-transaction.ts';
import { runCall } from './run-call.ts';
import { EvmState, type StateRoot } from './state.ts';
import { callAtBlockStart } from './system-calls.ts';
import { libraryTransaction } from './transaction.ts';
import { executeTransfer, hasCalldataFloor } from './transfer.ts';
import { createRollupVm, type RollupVm, type ShownFees } from './vm.ts';

/** Milliseconds that one trace may take, the transactions before it in its block included. */
export const TRACE_TIMEOUT_MS = 5000;
/** Steps of one trace, of a block all its transactions together. */
export const MAX_TRACE_STEPS = 200_000;
/** Bytes that one trace keeps, roughly as long as its answer; of a block all its transactions together. */
export const MAX_TRACE_BYTES: number = 8 * 1024 * 1024;
/** Traces and simulations of blocks that run or wait; they run one after another. */
export const MAX_WAITING_TRACES = 16;

export interface Tracer<Answer> {
  /** Whether `answer` looks at the state before. */
  readonly compares: boolean;
  /** Before the operation. */
  step(step: InterpreterStep): void;
  /** Before a call or creation; depth 0 is the transaction's own. */
  enter(message: Message): void;
  /** After the one that was entered last and not left yet. */
  leave(result: EVMResult): void;
  /** `before`, `after`: the state around the transaction, its fees included. The first is the second unless it compares. */
  answer(traced: { result: RunTxResult; before: EvmState; after: EvmState }): Promise<Answer>;
}

/** What a tracer is for: who sends, who gets the fees, and the gas limit. */
export interface Traced {
  readonly from: Uint8Array;
  readonly coinbase: Uint8Array;
  readonly gasLimit: bigint;
}
export type TracerOf<Answer> = (traced: Traced, budget: TraceBudget) => Tracer<Answer>;

/** A call on top of a block, or before the transaction of that index in it. */
export interface TracedCall {
  readonly request: CallRequest;
  readonly gasCap: bigint;
  readonly overrides: readonly AccountOverride[];
  readonly blockOverrides: BlockOverrides;
  readonly index?: number | undefined;
}

/** What a tracer spends; throws when nothing is left. One for each trace. */
export class TraceBudget {
  #steps = 0;
  #bytes = 0;

  step(): void {
    if (++this.#steps > MAX_TRACE_STEPS) throw tooMuch(`more than ${MAX_TRACE_STEPS} steps`);
  }

  keep(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > MAX_TRACE_BYTES) throw tooMuch(`more than ${MAX_TRACE_BYTES} bytes`);
  }
}

/** One trace. All of it throws SquadError `TRACE_TOO_LARGE` or `TRACE_TIMEOUT`. */
export class Replay {
  readonly state: EvmState;
  readonly #executor: EvmExecutor;
  readonly #block: StagedBlock;
  readonly #environment: Block;
  readonly #rollupVm: RollupVm;
  readonly #shown: ShownFees;
  readonly #budget = new TraceBudget();

  private constructor(
    executor: EvmExecutor,
    block: StagedBlock,
    state: EvmState,
    rollupVm: RollupVm,
    shown: ShownFees,
  ) {
    this.#executor = executor;
    this.#block = block;
    this.state = state;
    this.#rollupVm = rollupVm;
    this.#shown = shown;
    this.#environment = makeBlock(executor.common, block.header);
    rollupVm.deadline.atMs = performance.now() + TRACE_TIMEOUT_MS;
  }

  /** `root`: the state that the methods begin with. */
  static async open(executor: EvmExecutor, block: StagedBlock, root: StateRoot): Promise<Replay> {
    const state = new EvmState(executor.source, root);
    const shown: ShownFees = {};
    const rollupVm = await createRollupVm(executor.common, state, (number) => executor.hashAt(number), shown);
    return new Replay(executor, block, state, rollupVm, shown);
  }

  /** Begins with the state before the block. */
  async transaction<Answer>(index: number, tracerOf: TracerOf<Answer>): Promise<Answer> {
    await this.#until(index);
    return this.#trace(index, tracerOf);
  }

  /** The same, of each transaction in turn. */
  async all<Answer>(tracerOf: TracerOf<Answer>): Promise<Answer[]> {
    await this.#until(0);
    const answers: Answer[] = [];
    for (const index of this.#block.transactions.keys()) {
      await this.#breathe();
      answers.push(await this.#trace(index, tracerOf));
    }
    return answers;
  }

  /** With an index, begins with the state before the block; else with that at its end. Throws `CallRefused`, too. */
  async call<Answer>(
    { request, gasCap, overrides, blockOverrides, index }: TracedCall,
    tracerOf: TracerOf<Answer>,
  ): Promise<Answer> {
    if (index !== undefined) await this.#until(index);
    await overrideAccounts(this.#rollupVm, overrides);
    this.#shown.blob = blockOverrides.blobBaseFee;
    const fields = { ...this.#environment.header, ...overriddenFields(blockOverrides) };
    const block = makeBlock(this.#executor.common, fields);
    const gas = request.gas === undefined || request.gas > gasCap ? gasCap : request.gas;
    const traced = { from: request.from, coinbase: block.header.coinbase.bytes, gasLimit: gas };
    return this.#watch(traced, tracerOf, async () => (await runCall(this.#rollupVm, request, gas, block)).result);
  }

  /** Brings the state to where the transaction of that index begins. */
  async #until(index: number): Promise<void> {
    if (this.#executor.file.ethereumBlocks) await callAtBlockStart(this.#rollupVm, this.#environment);
    for (const before of this.#block.transactions.slice(0, index)) {
      await this.#breathe();
      await this.#replay(before);
    }
  }

  async #breathe(): Promise<void> {
    await breatheNow();
    if (performance.now() > this.#rollupVm.deadline.atMs) throw timedOut();
  }

  async #replay(ordered: Ordered): Promise<void> {
    const { header } = this.#environment;
    if (ordered.decoded instanceof PlainTransaction) {
      const terms = {
        coinbase: header.coinbase.bytes,
        baseFeePerGas: header.baseFeePerGas ?? 0n,
        hasCalldataFloor: hasCalldataFloor(this.#executor.common),
      };
      if (executeTransfer(this.state, ordered.decoded, ordered.from, terms) !== undefined) return;
    }
    await this.#run(ordered);
    this.#checkDeadline();
  }

  #trace<Answer>(index: number, tracerOf: TracerOf<Answer>): Promise<Answer> {
    const ordered = this.#block.transactions[index]!;
    const traced = {
      from: ordered.from,
      coinbase: this.#environment.header.coinbase.bytes,
      gasLimit: ordered.decoded.gasLimit,
    };
    return this.#watch(traced, tracerOf, () => this.#run(ordered, this.#block.transactions[index - 1]));
  }

  async #watch<Answer>(traced: Traced, tracerOf: TracerOf<Answer>, run: () => Promise<RunTxResult>): Promise<Answer> {
    const tracer = tracerOf(traced, this.#budget);
    const after = this.state;
    const before = tracer.compares ? new EvmState(this.#executor.source, after.root) : after;
    if (tracer.compares) before.copyFrom(after);
    const stop = listen(this.#rollupVm.vm.evm as EVM, tracer, this.#budget, this.#rollupVm.deadline.atMs);
    try {
      const result = await run();
      this.#checkDeadline();
      return await tracer.answer({ result, before, after });
    } finally {
      stop();
    }
  }

  #run({ raw, from }: Ordered, previous?: Ordered): Promise<RunTxResult> {
    const { vm } = this.#rollupVm;
    return runTx(vm, {
      tx: libraryTransaction(raw, vm.common, from),
      block: this.#environment,
      blockGasUsed: previous?.receipt.cumulativeGasUsed ?? 0n,
      skipHardForkValidation: true,
      skipBlockGasLimitValidation: true,
    });
  }

  #checkDeadline(): void {
    if (this.#rollupVm.deadline.passed) throw timedOut();
  }
}

type Ordered = FoundTransaction['transaction'];

const STEPS_BETWEEN_LOOKS = 256;

/** What a listener throws ends the run: the library passes on whatever is no error of its own. */
function listen(evm: EVM, tracer: Tracer<unknown>, budget: TraceBudget, untilMs: number): () => void {
  let steps = 0;
  const onStep = (step: InterpreterStep) => {
    budget.step();
    if (++steps % STEPS_BETWEEN_LOOKS === 0 && performance.now() > untilMs) throw timedOut();
    tracer.step(step);
  };
  const onEnter = (message: Message) => tracer.enter(message);
  const onLeave = (result: EVMResult) => tracer.leave(result);
  evm.events.on('step', onStep);
  evm.events.on('beforeMessage', onEnter);
  evm.events.on('afterMessage', onLeave);
  return () => {
    evm.events.off('step', onStep);
    evm.events.off('beforeMessage', onEnter);
    evm.events.off('afterMessage', onLeave);
  };
}

function tooMuch(what: string): SquadError {
  return new SquadError(
    'TRACE_TOO_LARGE',
    `the trace has ${what}`,
    'Use the callTracer or the prestateTracer, or leave out stack, memory and storage; or trace it on a node of your own.',
  );
}

function timedOut(): SquadError {
  return new SquadError(
    'TRACE_TIMEOUT',
    `execution timeout: the trace took more than ${TRACE_TIMEOUT_MS} ms`,
    'The block is too full, or the transaction too long: trace it on a node of your own.',
  );
}
