/**
 * What goes into the core and what comes out. The core draws no random numbers, reads no clock, awaits nothing: whoever
 * drives it passes the time with every input and carries out the outputs.
 *
 * The driver's duty (R20): everything that `persist` outputs of a step hold, and every batch that was reported by
 * `batchStored`, must be durable before any `send`, `soft` or `final` output of the same step, or a later one, becomes
 * visible outside the process.
 *
 * With epochs (R22) there is one core for each epoch. When it puts out `epochEnded` the driver makes that of the next one,
 * with no records, and gives it what is of the new epoch only:
 *
 *   messages      all, whatever their epoch; of a sender that is not in the core's set only `laterEpoch`, and if what it says
 *                 is of an earlier epoch the driver sends it the proof by itself
 *   batches       of this epoch: lanes begin anew. What this node had sealed and is not in a final block, it seals again in its
 *                 new lane, so that nothing that was accepted is lost; one that is no validator any more gives it to one that is
 *   acknowledged  of this epoch: places in lanes of two epochs are not the same
 *   bodies        how far they are complete, at once: a new core takes nothing for granted
 *   ranges        are answered up to the boundary of the epoch that they begin in, no further; the boundary block with the
 *                 certificate of its hand-over proof
 *
 * It keeps the `epochEnded` record until that of the next epoch is durable, and all proofs to answer `fetchHandOver` with; none
 * leaves the process before its record is durable.
 */

import type { VoteScheme } from '@squad/crypto';
import type {
  Acknowledgement,
  BatchRef,
  Block,
  BlockHash,
  BlockHeader,
  Bytes32,
  Certificate,
  ConsensusMessage,
  Epoch,
  Evidence,
  HandOverProof,
  Height,
  L1BlockId,
  UnixMs,
  ValidatorIndex,
  ValidatorSet,
  View,
  Vote,
} from '@squad/types';

/** Durations in milliseconds. */
export interface ConsensusOptions {
  /** First value of D, the delay that timers are made of (R17). */
  readonly initialDelayMs: number;
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
  /** How long a leader with nothing to order waits before an empty block (R18). */
  readonly heartbeatMs: number;
  /** The most that a leader lets gather since the last proposal, while there is something to order; at most `minDelayMs` (R10). */
  readonly blockIntervalMs: number;
  /** Least time between retries of what was sent in the current view. */
  readonly retryMs: number;
  /** How long this node has held an L1 block for confirmed before it makes it an anchor (R24). */
  readonly anchorDelayMs: number;
  /** A validator not heard from for this long, while a quorum is, is skipped as leader (R17). */
  readonly inactiveAfterMs: number;
}

export const DEFAULT_CONSENSUS_OPTIONS: ConsensusOptions = {
  initialDelayMs: 250,
  minDelayMs: 150,
  maxDelayMs: 10_000,
  heartbeatMs: 1_000,
  blockIntervalMs: 0,
  retryMs: 250,
  anchorDelayMs: 4_000,
  inactiveAfterMs: 2_000,
};

/** The bounds of an epoch (R22). */
export interface EpochConfig {
  /** The block that its first block is built on: genesis in epoch 0, else the boundary block of the epoch before. */
  readonly startsAfter: Block;
  /** Ends the epoch before; undefined in epoch 0. */
  readonly proof: HandOverProof | undefined;
  /** Height of its boundary block (`lastHeightOf`). */
  readonly lastHeight: Height;
  /**
   * The next epoch's set, fit (`validatorSetFault`) and its keys' possession proven; undefined as long as it is not known here:
   * then no boundary block is proposed or voted for (`sequencer` always knows one; a registry will not). When it becomes known, or
   * another, a `tick` makes the core look again.
   */
  readonly nextValidatorSet: () => ValidatorSet | undefined;
}

export interface ConsensusConfig {
  readonly networkId: Bytes32;
  readonly genesisTimeMs: UnixMs;
  readonly validatorSet: ValidatorSet;
  /** This node's position in the set; undefined for an observer, which follows and never votes. */
  readonly self: ValidatorIndex | undefined;
  readonly scheme: VoteScheme;
  readonly options: ConsensusOptions;
  /** The genesis file's anchor (`firstL1Anchor`); undefined: the network follows no L1 (R24). */
  readonly l1Anchor?: L1BlockId;
  /** Undefined: `validatorSet` validates for ever, from genesis on. */
  readonly epoch?: EpochConfig;
}

/** A batch that is held here; what the core must know of it. */
export interface HeldBatch {
  readonly ref: BatchRef;
  readonly previousDigest: Bytes32;
}

export type Input =
  /** Once, before all others. */
  | { readonly type: 'start' }
  /** A decoded message from the validator at the other end of an authenticated channel. */
  | { readonly type: 'message'; readonly from: ValidatorIndex; readonly message: ConsensusMessage }
  | { readonly type: 'peerConnected'; readonly peer: ValidatorIndex }
  /** Its channel is gone: it will not lead, as long as a quorum is heard (R17). */
  | { readonly type: 'peerDisconnected'; readonly peer: ValidatorIndex }
  /** A batch with a checked signature and body is stored here (own batches too). */
  | { readonly type: 'batchStored'; readonly batch: HeldBatch }
  | {
      readonly type: 'acknowledged';
      readonly from: ValidatorIndex;
      readonly acknowledgements: readonly Acknowledgement[];
    }
  /** Answer to `fetchBlock`, unchecked. */
  | { readonly type: 'blockFetched'; readonly from: ValidatorIndex; readonly block: Block }
  /**
   * Answer to `fetchRange`, unchecked: consecutive blocks, the last one finalized by the certificate. `from` undefined: a
   * node that is not in this epoch's set.
   */
  | {
      readonly type: 'rangeFetched';
      readonly from: ValidatorIndex | undefined;
      readonly blocks: readonly Block[];
      readonly certificate: Certificate;
    }
  /** Answer to `fetchHandOver`, unchecked. `from` undefined: a node that is not in this epoch's set. */
  | { readonly type: 'handOverFetched'; readonly from: ValidatorIndex | undefined; readonly proof: HandOverProof }
  /** A node that is not in this epoch's set speaks of a later epoch. */
  | { readonly type: 'laterEpoch' }
  /** Every body of every block up to this height is held durably here. */
  | { readonly type: 'bodiesComplete'; readonly height: Height }
  /**
   * The L1 blocks that this node holds for confirmed, in place of those it was told before (R24): ascending without gaps, each
   * the parent of the next, the first not above the anchor of the final head. A new core knows none.
   */
  | { readonly type: 'l1Blocks'; readonly blocks: readonly L1BlockId[] }
  /** The time asked for by `wakeAt` has come. Harmless when early. */
  | { readonly type: 'tick' };

export type Output =
  | { readonly type: 'persist'; readonly record: ConsensusRecord }
  /** `to` undefined: every other validator. */
  | { readonly type: 'send'; readonly to: ValidatorIndex | undefined; readonly message: ConsensusMessage }
  /** Replaces the time asked for before. */
  | { readonly type: 'wakeAt'; readonly atMs: UnixMs }
  /** Batches that a proposal references and that are not held here; ask the leader, then `holders`, then anyone. */
  | { readonly type: 'fetchBatches'; readonly refs: readonly BatchRef[]; readonly holders: readonly ValidatorIndex[] }
  | { readonly type: 'fetchBlock'; readonly hash: Bytes32; readonly holders: readonly ValidatorIndex[] }
  | { readonly type: 'fetchRange'; readonly fromHeight: Height; readonly holders: readonly ValidatorIndex[] }
  /** The proof that this epoch is over: ask `holders`, then anyone, until `epochEnded` (R22). */
  | { readonly type: 'fetchHandOver'; readonly epoch: Epoch; readonly holders: readonly ValidatorIndex[] }
  /** A soft confirmation (R12): the block is notarized. Its ancestors since the last one may not have been announced. */
  | { readonly type: 'soft'; readonly block: Block; readonly certificate: Certificate }
  /**
   * Blocks that became final, ascending and without gaps since the last output; the certificate is the last one's. Of an
   * epoch's boundary block it may be that of a descendant: `path` then has the headers up to that one (R22).
   */
  | {
      readonly type: 'final';
      readonly blocks: readonly Block[];
      readonly certificate: Certificate;
      readonly path?: readonly BlockHeader[];
    }
  /** The epoch is over: the boundary block is final (R22). The next epoch's core is made from this; this one only answers. */
  | { readonly type: 'epochEnded'; readonly block: Block; readonly proof: HandOverProof }
  | { readonly type: 'enteredView'; readonly view: View; readonly leader: ValidatorIndex }
  /** A peer sent what no honest validator sends. Disconnect it. */
  | { readonly type: 'misbehaved'; readonly peer: ValidatorIndex; readonly reason: string }
  /** A boundary block names another next set than this node knows: its leader's operator disagrees, or it lies (R22). */
  | { readonly type: 'otherNextSet'; readonly leader: ValidatorIndex; readonly hash: Bytes32 }
  /** Verified (E1 to E4); at most one for each kind and validator since the start. */
  | { readonly type: 'evidence'; readonly evidence: Evidence };

/** What the core asks to be kept. Replayed in order by `restore`, they bring back all that was promised. */
export type ConsensusRecord =
  /** An own vote, before it is sent (R16). */
  | { readonly type: 'vote'; readonly vote: Vote }
  /** A block that this node voted for, or that became certified or final. */
  | { readonly type: 'block'; readonly block: Block }
  | { readonly type: 'certificate'; readonly certificate: Certificate }
  /** Everything up to this block is final. */
  | { readonly type: 'finalized'; readonly hash: BlockHash; readonly height: Height; readonly certificate: Certificate }
  /** The epoch is over, and everything up to its boundary block final. What follows in the log is of the next epoch (R22). */
  | { readonly type: 'epochEnded'; readonly block: Block; readonly proof: HandOverProof }
  /** Where replay may begin: all that is still needed of the records before it. */
  | { readonly type: 'checkpoint'; readonly checkpoint: Checkpoint };

/** The state of the core that has to survive, as of one moment. */
export interface Checkpoint {
  readonly finalized: Block;
  readonly finalization: Certificate;
  /** Per validator: the next seq of its lane that is not ordered, and the digest of the last one that is. */
  readonly laneTips: readonly { readonly nextSeq: number; readonly lastDigest: Bytes32 }[];
  /** Certified blocks above the final one, and certificates above its view. */
  readonly blocks: readonly Block[];
  readonly certificates: readonly Certificate[];
  /** This node's own votes above the final view, and always those of the highest view that it voted in. */
  readonly votes: readonly Vote[];
}
