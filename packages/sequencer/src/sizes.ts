/**
 * How much a sequencer's queues, maps and lists hold at the moment, in the units of LIMITS.md. Cheap enough to be looked at
 * after every event: the simulator compares it with the bounds.
 */

import type { ConsensusSizes } from '@squad/consensus';
import type { Actor } from './actor.ts';
import type { EpochRun } from './epoch-run.ts';
import type { EvidenceKeeper } from './evidence/index.ts';
import type { GossipIntake } from './gossip-intake.ts';
import type { HashPrefixes } from './hash-prefixes.ts';
import type { Transactions } from './transactions.ts';
import type { Turns } from './turns.ts';

export interface SequencerSizes {
  readonly core: ConsensusSizes;
  /** Of each lane, batches that are held and not final. */
  readonly heldBatches: readonly number[];
  /** Of the own lane; undefined: there is none. */
  readonly lane: LaneSizes | undefined;
  /** Batches that are being asked for, and those of final blocks. */
  readonly batchesInFetch: number;
  readonly finalBatchesInFetch: number;
  /** Blocks that are being asked for by hash. */
  readonly blocksInFetch: number;
  /** Bytes that wait for a turn of the actor. */
  readonly actorBytes: number;
  /** Bytes of peers' batches that wait to be checked. */
  readonly turnsBytes: number;
  readonly keptGossipTransactions: number;
  readonly keptGossipBytes: number;
  readonly hashPrefixBytes: number;
  /** Final transactions of this node. */
  readonly rememberedTransactions: number;
  /** Pieces of evidence in memory. */
  readonly evidence: number;
}

export interface LaneSizes {
  readonly unordered: number;
  readonly bytesInFlight: number;
  readonly waitingBytes: number;
  readonly waitingTransactions: number;
}

export function sizesOf(
  run: EpochRun,
  actor: Pick<Actor, 'waitingBytes'>,
  turns: Turns,
  gossip: GossipIntake,
  hashPrefixes: HashPrefixes,
  kept: { readonly transactions: Transactions; readonly evidence: EvidenceKeeper },
): SequencerSizes {
  return {
    core: run.core.sizes,
    heldBatches: run.lanes.held,
    lane: run.lane?.sizes,
    batchesInFetch: run.batches.size,
    finalBatchesInFetch: run.finalBatches.size,
    blocksInFetch: run.blocks.size,
    actorBytes: actor.waitingBytes,
    turnsBytes: turns.bytes,
    keptGossipTransactions: gossip.kept,
    keptGossipBytes: gossip.keptBytes,
    hashPrefixBytes: hashPrefixes.bytes,
    rememberedTransactions: kept.transactions.finals,
    evidence: kept.evidence.held.length,
  };
}
