/**
 * Runs a transaction of a block once more, on the state that it had then, and lets a tracer look at each step. What is
 * executed and what it costs is the block's own; a tracer only looks, and gives up when there is too much to look at.
 */

import { Block } from '@ethereumjs/block';
import type { EVM, EVMResult, InterpreterStep, Message } from '@ethereumjs/evm';
import { type RunTxResult, runTx } from '@ethereumjs/vm';
import { SquadError } from '@squad/types';
import { breatheNow } from '../breathe.ts';
import type { EvmExecutor } from './executor.ts';
import type { FoundTransaction } from './history.ts';
import { PlainTransaction } from './plain-transaction.ts';
import { EvmState, type StateRoot } from './state.ts';
import { libraryTransaction } from './transaction.ts';
import { executeTransfer, hasCalldataFloor } from './transfer.ts';
import { createRollupVm, type RollupVm } from './vm.ts';

/** Milliseconds that one trace may take, the transactions before it in its block included. */
export const TRACE_TIMEOUT_MS = 5000;
/** Steps of one trace. */
export const MAX_TRACE_STEPS = 200_000;
/** Bytes that one trace keeps, roughly as long as its answer. */
export const MAX_TRACE_BYTES: number = 8 * 1024 * 1024;
/** Traces and simulations of blocks that run or wait; they run one after another. */
export const MAX_WAITING_TRACES = 16;

export interface Tracer<Answer> {
  /** Before the operation. */
  step(step: InterpreterStep): void;
  /** Before a call or creation; depth 0 is the transaction's own. */
  enter(message: Message): void;
  /** After the one that was entered last and not left yet. */
  leave(result: EVMResult): void;
  /** `before`, `after`: the state around the transaction, its fees included. */
  answer(traced: { result: RunTxResult; before: EvmState; after: EvmState }): Promise<Answer>;
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

/** `parent`: the state that the block began with. Throws SquadError `TRACE_TOO_LARGE` or `TRACE_TIMEOUT`. */
export async function traceTransaction<Answer>(
  executor: EvmExecutor,
  { block, index, transaction }: FoundTransaction,
  parent: StateRoot,
  tracer: Tracer<Answer>,
  budget: TraceBudget,
): Promise<Answer> {
  const untilMs = performance.now() + TRACE_TIMEOUT_MS;
  const state = new EvmState(executor.source, parent);
  const rollupVm = await createRollupVm(executor.common, state, (number) => executor.hashAt(number));
  rollupVm.deadline.atMs = untilMs;
  const environment = new Block(block.header, [], [], [], {
    common: executor.common,
    skipConsensusFormatValidation: true,
  });
  for (const before of block.transactions.slice(0, index)) {
    await breatheNow();
    if (performance.now() > untilMs) throw timedOut();
    await replay(executor, rollupVm, environment, before);
  }
  const before = new EvmState(executor.source, parent);
  before.copyFrom(state);
  const stop = listen(rollupVm.vm.evm as EVM, tracer, budget, untilMs);
  try {
    const result = await run(rollupVm, environment, transaction, block.transactions[index - 1]);
    return await tracer.answer({ result, before, after: state });
  } finally {
    stop();
  }
}

type Ordered = FoundTransaction['transaction'];

async function replay(executor: EvmExecutor, rollupVm: RollupVm, environment: Block, ordered: Ordered): Promise<void> {
  const { header } = environment;
  if (ordered.decoded instanceof PlainTransaction) {
    const terms = {
      coinbase: header.coinbase.bytes,
      baseFeePerGas: header.baseFeePerGas ?? 0n,
      hasCalldataFloor: hasCalldataFloor(executor.common),
    };
    const state = rollupVm.vm.stateManager as EvmState;
    if (executeTransfer(state, ordered.decoded, ordered.from, terms) !== undefined) return;
  }
  await run(rollupVm, environment, ordered, undefined);
}

async function run(
  { vm, deadline }: RollupVm,
  block: Block,
  { raw, from }: Ordered,
  previous: Ordered | undefined,
): Promise<RunTxResult> {
  const result = await runTx(vm, {
    tx: libraryTransaction(raw, vm.common, from),
    block,
    blockGasUsed: previous?.receipt.cumulativeGasUsed ?? 0n,
    skipHardForkValidation: true,
    skipBlockGasLimitValidation: true,
  });
  if (deadline.passed) throw timedOut();
  return result;
}

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
