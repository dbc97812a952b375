/** What the eth_* methods share: the open rollup, and how a caller's block reference becomes a block. */

import type { DerivationEvents } from '../derivation/events.ts';
import type { SkippedTransactions } from '../derivation/skipped.ts';
import type { EvmExecutor } from '../execution/evm/executor.ts';
import { EvmHistory, type StagedBlock } from '../execution/evm/history.ts';
import { EvmReader } from '../execution/evm/reader.ts';
import { unknownBlock } from './errors.ts';
import { HeldAlternatives } from './held-alternatives.ts';
import type { RollupRpcPorts } from './ports.ts';
import { Queue } from './queue.ts';
import type { BlockReference } from './schemas.ts';
import { SubmittedTransactions } from './submitted.ts';

export class RpcState {
  readonly executor: EvmExecutor;
  readonly events: DerivationEvents;
  readonly skipped: SkippedTransactions;
  readonly ports: RollupRpcPorts;
  readonly history: EvmHistory;
  readonly reader: EvmReader;
  readonly submitted: SubmittedTransactions;
  readonly heldAlternatives = new HeldAlternatives();
  /** Of the transactions that are being checked. */
  readonly submissions = new Queue();

  constructor(
    rollup: { executor: EvmExecutor; events: DerivationEvents; skipped: SkippedTransactions },
    ports: RollupRpcPorts,
  ) {
    this.executor = rollup.executor;
    this.events = rollup.events;
    this.skipped = rollup.skipped;
    this.ports = ports;
    this.history = new EvmHistory(rollup.executor);
    this.reader = new EvmReader(rollup.executor);
    this.submitted = new SubmittedTransactions(this.now);
  }

  now = (): number => this.ports.now?.() ?? performance.now();

  /** The number that a reference means now; undefined if it names a hash that is not known. */
  numberOf(reference: BlockReference): number | undefined {
    if ('number' in reference) return reference.number;
    if ('hash' in reference) return this.history.blockByHash(reference.hash)?.summary.number;
    if (reference.tag === 'pending') return this.history.pendingNumber;
    if (reference.tag === 'latest') return this.history.latestNumber;
    // `safe` and `finalized`, too: nothing is attested or settled on L1 yet, and genesis follows from the rollup file alone.
    return 0;
  }

  /** Numbers above `latest` are not answered unless asked for as `pending` or by hash: they are not settled yet. */
  findBlock(reference: BlockReference): StagedBlock | undefined {
    if ('hash' in reference) return this.history.blockByHash(reference.hash);
    if ('number' in reference && reference.number > this.history.latestNumber) return undefined;
    return this.history.blockAt(this.numberOf(reference)!);
  }

  /** Throws `RpcError` if there is no such block. */
  block(reference: BlockReference): StagedBlock {
    const block = this.findBlock(reference);
    if (block === undefined) throw unknownBlock('hash' in reference ? 'header for hash not found' : undefined);
    return block;
  }
}
