/**
 * The port of execution: a rollup's rules. Derivation drives it, one call at a time; the RPC server reads from it.
 *
 * Life of a block: `begin` opens it on the newest sealed one, `execute` adds transactions, `seal` closes it. A sealed block
 * is provisional: held in memory, readable, and undone by `rollback`, until `commit` makes it and its predecessors durable.
 */

import type { Bytes32, Height, L1BlockId, UnixMs } from '@squad/types';

export interface BlockEnvironment {
  /** The time slot that the block belongs to; the same for all blocks of a slot. */
  readonly slot: number;
  /** Seconds since 1970; never below the parent's. */
  readonly timestampSeconds: number;
  /** Hash of the sequencer block for whose transactions this block was opened. Known to whoever orders: not a fair coin. */
  readonly randomness: Bytes32;
  /** The anchor (R24) of the slot's first sequencer block. Default: none. */
  readonly l1Anchor?: L1BlockId;
}

/** Why the rollup's rules rejected a transaction. Skipping is deterministic: the same on every node. */
export type SkipCode = 'MALFORMED' | 'UNSUPPORTED' | 'INVALID' | 'GAS_LIMIT' | 'BEFORE_GENESIS';

export type ExecutionOutcome =
  | { readonly status: 'executed'; readonly hash: Bytes32 }
  | { readonly status: 'skipped'; readonly code: SkipCode; readonly reason: string }
  /** Fits a block, but no longer this one: seal it, begin another with the same environment, and give it again. */
  | { readonly status: 'full' };

export interface BlockSummary {
  /** 0 is genesis; consecutive. */
  readonly number: number;
  readonly hash: Bytes32;
  readonly parentHash: Bytes32;
  readonly stateRoot: Bytes32;
  readonly slot: number;
  readonly timestampSeconds: number;
  readonly transactionCount: number;
}

/** How far the sequence is contained in the durable blocks. Written in the same atomic batch as they are. */
export interface Cursor {
  /** Every sequencer block up to this height is contained. */
  readonly height: Height;
  readonly hash: Bytes32;
  readonly timestampMs: UnixMs;
}

/**
 * What a rollup's rules must provide. Requirements:
 * - deterministic: same genesis and calls, same hashes, on every machine;
 * - `execute` never throws for what a transaction contains. It throws only if the store fails, and then the node stops;
 * - a skipped transaction leaves no trace in state;
 * - a block in which nothing was executed is no block: `seal` returns undefined and state is as before `begin`. But for rules
 *   that take something in from L1: they say by `isDue` that a slot is to begin with a block, whatever is ordered in it;
 * - `commit` is one atomic, synced write of blocks, their state and the cursor: after a crash at any moment, what is read
 *   at opening is exactly the result of the last commit that completed.
 */
export interface Executor {
  readonly kind: 'evm' | 'ledger' | 'custom' | 'nitro' | 'op';
  /** The newest durable block. */
  readonly latest: BlockSummary;
  /** The newest sealed block, provisional or durable: what `begin` builds on. */
  readonly head: BlockSummary;
  /** The cursor of the last commit; undefined before the first. */
  readonly cursor: Cursor | undefined;
  /** Whether the slot begins with a block even if nothing is ordered in it: `begin` is called at once then. Default: no. */
  isDue?(environment: BlockEnvironment): boolean;
  /** Whether such a block can begin without waiting for what is outside of this node. Default: yes. */
  canBegin?(environment: BlockEnvironment): Promise<boolean>;
  begin(environment: BlockEnvironment): Promise<void>;
  execute(transaction: Uint8Array): Promise<ExecutionOutcome>;
  seal(): Promise<BlockSummary | undefined>;
  /** Drops the open block and every sealed block above `number`, which must not be below `latest`. */
  rollback(number: number): Promise<void>;
  /** Makes sealed blocks up to `number` durable, with the cursor. `number` may be `latest.number`: the cursor alone moves. */
  commit(number: number, cursor: Cursor): Promise<void>;
  /** Drops the open block, closes the store. */
  close(): Promise<void>;
}

/** A transaction that was left out, as kept for those who ask what became of it. */
export interface SkippedTransaction {
  readonly hash: Bytes32;
  readonly code: SkipCode;
  readonly reason: string;
  /** Of the sequencer block; undefined if an execution client refused it in a rollup block. */
  readonly height: Height | undefined;
}
