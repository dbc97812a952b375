/**
 * The follower: keeps feeds open to the sequencers, verifies all that comes, and hands blocks on in order, each final one
 * exactly once. It needs one honest sequencer among those that it reaches, and notices the others.
 */

import {
  type BlockPoint,
  DEFAULT_STANDING_TIMES,
  type SignatureCheck,
  type StandingTimes,
  type VerificationErrorCode,
  type Verifier,
} from '@squad/client';
import type { EdgeNetwork } from '@squad/network';
import type { Logger, Metrics } from '@squad/service';
import type { Epoch, Height, RollupId, ValidatorIndex, ValidatorSet } from '@squad/types';
import type { Derivation } from '../derivation/api.ts';
import type { Epochs } from './epochs.ts';

export interface FollowerConfig {
  readonly network: Pick<EdgeNetwork, 'openFeed' | 'request'>;
  /** Who is believed. Moves on with the sequence. */
  readonly epochs: Epochs;
  readonly createVerifier: (set: ValidatorSet, scheme: SignatureCheck) => Verifier;
  /** Positions are of another set from now on: the network has to know before it is asked again (R22). */
  readonly onValidatorSet: (set: ValidatorSet) => void;
  readonly rollupId: RollupId;
  /** The newest final block that derivation holds durably, or `verifier.genesis`: following goes on after it. */
  readonly start: BlockPoint;
  /** An acknowledgement is sent only after `applyFinal` has resolved. */
  readonly derivation: Pick<Derivation, 'applySoft' | 'applyFinal'>;
  readonly options?: Partial<FollowerOptions>;
  readonly logger: Logger;
  readonly metrics?: Metrics;
  /** Between 0 and 1: jitter, and which sequencer comes first. Default `Math.random`. */
  readonly random?: () => number;
  /** A sequencer sent what fails verification; its feed is closed. */
  readonly onRefused?: (refusal: Refusal) => void;
  /** Derivation failed: following has stopped, and the node should. */
  readonly onFailed: (error: unknown) => void;
}

/** Durations in milliseconds. */
export interface FollowerOptions extends StandingTimes {
  /** Feeds open at one time; the others are tried when one of these ends. */
  readonly maxFeeds: number;
  /** Without a new final block for so long, though a sequencer claims one, another sequencer is asked. */
  readonly stallMs: number;
}

export const DEFAULT_FOLLOWER_OPTIONS: FollowerOptions = { ...DEFAULT_STANDING_TIMES, maxFeeds: 16, stallMs: 5_000 };

/** `PROTOCOL`: messages out of turn, or beyond the window. `HAND_OVER`: a proof of an epoch's end that is none. */
export type RefusalCode = VerificationErrorCode | 'PROTOCOL' | 'HAND_OVER';

export interface Refusal {
  readonly sequencer: ValidatorIndex;
  readonly code: RefusalCode;
  /** What was wrong, at which height, at which ref. */
  readonly message: string;
  readonly height: Height | undefined;
}

export interface FeedStatus {
  readonly sequencer: ValidatorIndex;
  readonly state: 'idle' | 'connecting' | 'open';
  /** It is not used before this moment, by the process's monotonic clock, because it lied. */
  readonly distrustedUntilMs: number | undefined;
  /** The highest height that it claims to be final. */
  readonly claimedHead: Height | undefined;
}

export interface Follower {
  start(): void;
  /** Closes the feeds and waits for a block that is being applied. */
  stop(): Promise<void>;
  /** The newest final block that was applied. */
  readonly head: BlockPoint;
  /**
   * The height that validators of more than the tolerated faulty weight claim to be final, so that one honest one does.
   * Undefined until so many have been heard.
   */
  readonly setHead: Height | undefined;
  readonly feeds: readonly FeedStatus[];
  /** The epoch that is followed. */
  readonly epoch: Epoch;
}

/** Milliseconds between two rounds of asking for the proof that an epoch is over. */
export const HAND_OVER_RETRY_MS = 500;
/** Blocks behind the set's head within which all feeds are live; further behind, one catches up and the others wait. */
export const LIVE_DISTANCE_BLOCKS = 16;
/** Blocks behind the set's head at which a live follower goes back to catching up from one sequencer. */
export const CATCH_UP_DISTANCE_BLOCKS = 256;
/** Bytes of blocks that wait for an earlier one, over all feeds; a feed that goes beyond is closed. */
export const MAX_WAITING_BYTES: number = 512 * 1024 * 1024;
/** Soft blocks that wait to be verified; the oldest is dropped. */
export const MAX_WAITING_SOFT_BLOCKS = 32;
/** Verified soft blocks whose bodies are kept for the final ones; the oldest is dropped. */
export const MAX_HELD_SOFT_BLOCKS = 64;
/** Bytes of them. */
export const MAX_HELD_SOFT_BYTES: number = 64 * 1024 * 1024;
/** Milliseconds between two acknowledgements on one feed. */
export const ACKNOWLEDGEMENT_INTERVAL_MS = 25;
/** Milliseconds between two looks at feeds to open and at progress. */
export const MAINTENANCE_INTERVAL_MS = 100;
/** Milliseconds for which a block may be coming in before its feed counts as stalled. */
export const MAX_BLOCK_TRANSFER_MS = 60_000;
