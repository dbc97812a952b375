/**
 * R23: what a sequencer holds stays within LIMITS.md, looked at after every event of it. The numbers are written out again:
 * what the code says is what is being checked.
 */

import type { NodeOfWorld } from './node.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const MAX_UNORDERED_BATCHES = 64;
/** A lane as others hold it, who may not have seen yet what was ordered of it. */
const MAX_HELD_BATCHES = 128;
const MAX_BATCHES_AT_PLACE = 4;
/** The views of the window, the one that is entered and the one after it. */
const MAX_VIEWS_OF_VOTES = 64 + 2;
const MAX_TREE_BLOCKS = 8_192;
const MAX_ORPHAN_BLOCKS = 256;
const MAX_L1_BLOCKS = 128;
const MAX_BATCHES_IN_FETCH = 512;
const MAX_BLOCKS_IN_FETCH = 16;
const MAX_WAITING_TRANSACTIONS = 262_144;
const MAX_KEPT_GOSSIP_TRANSACTIONS = 65_536;
const MAX_REMEMBERED_TRANSACTIONS = 65_536;
const KINDS_OF_EVIDENCE = 5;
const MAX_EVIDENCE_EPOCHS = 16;
const MAX_RECENT_FINALS = 128;
const MAX_PENDING_SOFTS = 8;
const MAX_UNACKNOWLEDGED_BLOCKS = 64;

/** What a node holds too much of, in words; undefined: nothing. */
export function beyondBounds({ sequencer, feed, epoch }: NodeOfWorld): string | undefined {
  if (!sequencer || !feed) return undefined;
  const { core, lane, heldBatches, ...rest } = sequencer.sizes;
  // Of each view above the final one a notarization and a nullification; a core whose epoch is over is let go of as it is.
  const { isOver } = sequencer.core;
  const { view, finalView } = sequencer.core.status;
  const streams = feed.sizes;
  return (
    beyond('views of votes to count', core.talliedViews, MAX_VIEWS_OF_VOTES) ??
    beyond('views of votes to compare', core.watchedViews, MAX_VIEWS_OF_VOTES) ??
    beyond('certificates', isOver ? 0 : core.certificates, 2 * Math.max(0, view - finalView)) ??
    beyond('blocks above the final head', core.treeBlocks, MAX_TREE_BLOCKS) ??
    beyond('orphans', core.orphanBlocks, MAX_ORPHAN_BLOCKS) ??
    beyond('places of a lane in the core', core.placesInLane, MAX_HELD_BATCHES) ??
    beyond('batches of one place', core.batchesAtPlace, MAX_BATCHES_AT_PLACE) ??
    beyond('batches of a lane', Math.max(0, ...heldBatches), MAX_HELD_BATCHES) ??
    beyond('L1 blocks', core.l1Blocks, MAX_L1_BLOCKS) ??
    beyond('own batches that are not ordered', lane?.unordered ?? 0, MAX_UNORDERED_BATCHES) ??
    beyond('bytes of own batches under way', lane?.bytesInFlight ?? 0, 512 * KIB + 16 * 512 * KIB) ??
    beyond('bytes that wait to be sealed', lane?.waitingBytes ?? 0, 32 * MIB) ??
    beyond('transactions that wait to be sealed', lane?.waitingTransactions ?? 0, MAX_WAITING_TRANSACTIONS) ??
    beyond('batches in fetch', rest.batchesInFetch, MAX_BATCHES_IN_FETCH) ??
    beyond('final batches in fetch', rest.finalBatchesInFetch, MAX_BATCHES_IN_FETCH) ??
    beyond('blocks in fetch', rest.blocksInFetch, MAX_BLOCKS_IN_FETCH) ??
    beyond('bytes that wait for a turn', rest.actorBytes, 128 * MIB) ??
    beyond('bytes of batches that wait to be checked', rest.turnsBytes, 64 * MIB) ??
    beyond('transactions of gossip', rest.keptGossipTransactions, MAX_KEPT_GOSSIP_TRANSACTIONS) ??
    beyond('bytes of gossip', rest.keptGossipBytes, 16 * MIB) ??
    beyond('bytes of hash prefixes', rest.hashPrefixBytes, 16 * MIB) ??
    beyond('final transactions', rest.rememberedTransactions, MAX_REMEMBERED_TRANSACTIONS) ??
    beyond('pieces of evidence', rest.evidence, KINDS_OF_EVIDENCE * MAX_EVIDENCE_EPOCHS * epoch.members.length) ??
    beyond('final blocks for the feed', streams.recentFinals, MAX_RECENT_FINALS) ??
    beyond('soft blocks of one stream', streams.pendingSofts, MAX_PENDING_SOFTS) ??
    beyond('blocks of one stream that are not acknowledged', streams.unacknowledgedBlocks, MAX_UNACKNOWLEDGED_BLOCKS) ??
    beyond('bytes of one stream that are not acknowledged', streams.unacknowledgedBytes, 16 * MIB + 272 * MIB)
  );
}

function beyond(what: string, held: number, bound: number): string | undefined {
  return held > bound ? `${held} ${what}, of at most ${bound}` : undefined;
}
