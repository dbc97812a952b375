/** How the node does: for orchestrators (readiness), for programs (squad_status) and for people (the status line). */

import { defineMethod, type Readiness, type RpcMethod, type StatusFields } from '@squad/service';
import type { ApplyOutcome, Derivation, ProvenBlock } from './derivation/api.ts';
import type { EngineDriver } from './engine/driver.ts';
import type { Executor } from './execution/api.ts';
import type { Follower } from './follow/api.ts';
import { OpExecutor } from './stacks/op/executor.ts';
import type { L1Chain } from './stacks/op/l1-chain.ts';

/** Sequencer blocks behind the set's head within which the node is ready. */
export const READY_DISTANCE_BLOCKS = 8;

/** Passes blocks on to derivation, and remembers what people ask about: how many transactions, how late. */
export class MeasuredDerivation implements Pick<Derivation, 'applySoft' | 'applyFinal'> {
  /** Final transactions of this rollup since the start, executed or skipped. */
  transactions = 0;
  /** From the time in the last block to its being applied. */
  softLagMs: number | undefined;
  finalLagMs: number | undefined;
  readonly #derivation: Derivation;

  constructor(derivation: Derivation) {
    this.#derivation = derivation;
  }

  async applySoft(block: ProvenBlock): Promise<ApplyOutcome> {
    const outcome = await this.#derivation.applySoft(block);
    this.softLagMs = lagMs(block);
    return outcome;
  }

  async applyFinal(block: ProvenBlock): Promise<ApplyOutcome> {
    const outcome = await this.#derivation.applyFinal(block);
    this.finalLagMs = lagMs(block);
    for (const { transactions } of block.batches) this.transactions += transactions.length;
    return outcome;
  }
}

function lagMs({ timestampMs }: ProvenBlock): number {
  return Math.max(0, Date.now() - timestampMs);
}

export interface NodeState {
  readonly follower: Pick<Follower, 'head' | 'setHead' | 'feeds' | 'epoch'>;
  readonly measured: Pick<MeasuredDerivation, 'transactions' | 'softLagMs' | 'finalLagMs'>;
  readonly derivation: Pick<Derivation, 'softHeight'>;
  readonly executor: Pick<Executor, 'latest' | 'head'>;
  /** Of a node that drives an execution client. */
  readonly engine?: Pick<EngineDriver, 'state' | 'headNumber' | 'reason'> | undefined;
  /** Of a rollup that follows L1. */
  readonly l1?: Pick<L1Chain, 'trouble'> | undefined;
}

export function openFeeds({ follower }: Pick<NodeState, 'follower'>): number {
  return follower.feeds.filter(({ state }) => state === 'open').length;
}

/** Ready once enough sequencers have said where the set is, and the node is there (R19). */
export function readiness(state: Pick<NodeState, 'follower' | 'engine' | 'l1'>): Readiness {
  const { head, setHead, feeds } = state.follower;
  const open = openFeeds(state);
  const reasons: string[] = [];
  if (open === 0) reasons.push(`no feed is open of ${feeds.length} sequencers`);
  if (setHead === undefined) {
    reasons.push(`too few sequencers have said where the set is (${open} of ${feeds.length} feeds are open)`);
  } else if (setHead - head.height > READY_DISTANCE_BLOCKS) {
    reasons.push(`at block ${head.height}, the sequencers are at ${setHead}`);
  }
  if (state.engine !== undefined && state.engine.state !== 'following') {
    reasons.push(`the execution client is not driven (${state.engine.state}): ${state.engine.reason ?? 'not yet'}`);
  }
  if (state.l1?.trouble !== undefined) reasons.push(`L1 cannot be read, derivation waits: ${state.l1.trouble}`);
  return { ready: reasons.length === 0, reasons };
}

export function statusMethod(state: NodeState, about: { readonly name: string; readonly rollupId: number }): RpcMethod {
  return defineMethod({
    name: 'squad_status',
    summary: 'Where this node stands: heads, feeds, readiness',
    params: {},
    result: { name: 'status', description: 'Status of the node' },
    handler: () => ({ ...about, ...readiness(state), ...position(state), feeds: feedStates(state) }),
  });
}

function position({ follower, measured, derivation, executor, engine, l1 }: NodeState) {
  return {
    epoch: follower.epoch,
    finalHeight: follower.head.height,
    softHeight: derivation.softHeight,
    setHead: follower.setHead ?? null,
    finalLagMs: measured.finalLagMs,
    softLagMs: measured.softLagMs,
    peers: openFeeds({ follower }),
    transactions: measured.transactions,
    latestBlock: executor.latest.number,
    pendingBlock: executor.head.number,
    ...(l1 && executor instanceof OpExecutor && { l1Origin: executor.l1OriginNumber, l1Trouble: l1.trouble ?? null }),
    ...(engine && { engineState: engine.state, engineBlock: engine.headNumber ?? null }),
  };
}

function feedStates({ follower }: NodeState) {
  const nowMs = performance.now();
  return follower.feeds.map(({ sequencer, state, distrustedUntilMs = 0, claimedHead }) => ({
    sequencer,
    state,
    claimedHead: claimedHead ?? null,
    distrustedMs: Math.max(0, Math.round(distrustedUntilMs - nowMs)),
  }));
}

/** The line for people. */
export function statusFields(state: NodeState): StatusFields {
  const { head, setHead } = state.follower;
  const { finalLagMs, transactions } = state.measured;
  return {
    block: state.executor.latest.number,
    height: setHead === undefined ? head.height : `${head.height} of ${Math.max(setHead, head.height)}`,
    'final lag': finalLagMs === undefined ? '-' : `${(finalLagMs / 1000).toFixed(2)} s`,
    transactions,
    feeds: openFeeds(state) || 'none: are the addresses of the validators in the genesis file reached from here?',
  };
}
