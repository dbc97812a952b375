/**
 * The feed: what rollup nodes get, and how they are not left waiting. The leader of a block's view posts it at once; every
 * other sequencer posts it when a rollup node has not acknowledged it after a while. Heights make it idempotent.
 */

import type { FeedStream } from '@squad/network';
import type { Logger, Metrics } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import type { Block, BlockHeader, Certificate, FeedBlock, Height, RollupId, ValidatorIndex } from '@squad/types';
import type { HandOvers } from '../hand-overs.ts';

/** What the feed reads from the node's store: durable, final blocks and the bodies of batches. */
export type FeedSource = Pick<NodeStore, 'head' | 'readBlock' | 'nextFinalizationAtOrAfter' | 'readBatch'>;

export interface FeedConfig {
  readonly source: FeedSource;
  /** This sequencer's position in the set of now; undefined for an observer, which leads no view. */
  readonly self: () => ValidatorIndex | undefined;
  /** The ends of epochs that are held: the finalization of an epoch's last block may be in its epilogue (R22). */
  readonly handOvers: Pick<HandOvers, 'read'>;
  /** Of the genesis file: no others are served. */
  readonly rollupIds: readonly RollupId[];
  /** After how long without an acknowledgement others than the leader post a block. Default `FEED_TAKEOVER_MS`. */
  readonly takeoverMs?: number;
  readonly logger: Logger;
  readonly metrics?: Metrics;
}

export interface Feed {
  /** Serves a rollup node until either side closes. */
  onStream(stream: FeedStream): void;
  /** A block was notarized, and this node may say so. Only the leader posts it. */
  onSoft(block: Block, certificate: Certificate): void;
  /** Consecutive blocks became final and are durable; the certificate finalizes the last one, or the last header of `path`. */
  onFinal(blocks: readonly Block[], certificate: Certificate, path?: readonly BlockHeader[]): void;
  /**
   * The final blocks of a rollup from a height on, in order, as they are and as they come, in full. Throws SquadError
   * `FEED_NOT_HELD` where bodies were pruned. Ends when the signal is aborted.
   */
  sequenceFrom(rollupId: RollupId, height: Height, signal?: AbortSignal): AsyncGenerator<FeedBlock, void, undefined>;
  /** Streams that are served now. */
  readonly streams: number;
  readonly sizes: FeedSizes;
  /** Closes every stream. */
  stop(): void;
}

/** How much a feed holds at the moment, in the units of LIMITS.md. */
export interface FeedSizes {
  readonly recentFinals: number;
  /** Of the stream with the most: soft blocks that wait; blocks that are not acknowledged, and their bytes. */
  readonly pendingSofts: number;
  readonly unacknowledgedBlocks: number;
  readonly unacknowledgedBytes: number;
}

/** Milliseconds after which a block that no acknowledgement covers is posted by others than its leader. */
export const FEED_TAKEOVER_MS = 400;
/** Final blocks kept in memory for live posting; older ones are read from the store. */
export const MAX_RECENT_FINAL_BLOCKS = 128;
/** Soft blocks that wait for one slow stream; the oldest is dropped: it will come as final. */
export const MAX_PENDING_SOFT_BLOCKS = 8;
/** Milliseconds that a new stream has for its subscription. */
export const FEED_SUBSCRIBE_TIMEOUT_MS = 10_000;
/** Milliseconds between two words about this node's head. */
export const FEED_HEAD_INTERVAL_MS = 1_000;
/** Milliseconds that a final block's bodies may be under way to this node before it says that it does not hold them. */
export const FEED_BODIES_PATIENCE_MS = 10_000;
