export * from './api.ts';
export { MAX_ORPHAN_BLOCKS, MAX_TREE_BLOCKS } from './chain.ts';
export { Consensus, type ConsensusSizes, type ConsensusStatus } from './core.ts';
export { type EpochEndedRecord, epochOf, sinceLastEpoch } from './epochs.ts';
export { MAX_BATCHES_PER_SEQ, UNKNOWN_SEQ } from './lanes.ts';
export { VOTE_WINDOW_VIEWS } from './tally.ts';
export { MAX_RESENT_CERTIFICATES } from './timers.ts';
export { MAX_FORGED_VOTES_LOOKED_INTO } from './watch.ts';
