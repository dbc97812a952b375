/** What a sequencer is put together from: everything real, and what tells apart one node from another. */

import type { NodeKey, VoteScheme } from '@squad/crypto';
import type { Logger } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import type { Genesis, ValidatorIndex, ValidatorSet } from '@squad/types';
import type { Admission } from './admission/admission.ts';
import type { SequencerMetrics } from './sequencer-metrics.ts';
import type { ValidatorSetSource } from './validator-sets.ts';

/** This node as a validator of one epoch. */
export interface ValidatorPlace {
  readonly self: ValidatorIndex;
  /** Undefined only where `createScheme` needs none. */
  readonly blsSecretKey: Uint8Array | undefined;
}

export interface SequencerParts {
  readonly genesis: Genesis;
  /** Who validates later epochs (R22). */
  readonly validatorSets: ValidatorSetSource;
  /** This node's place in a validator set; undefined: it has none and only follows. */
  readonly placeIn: (set: ValidatorSet) => ValidatorPlace | undefined;
  readonly nodeKey: NodeKey;
  readonly store: NodeStore;
  readonly admission: Admission;
  readonly logger: Logger;
  readonly metrics: SequencerMetrics;
  readonly now: () => number;
  readonly batchBytes: number;
  readonly batchAgeMs: number;
  readonly heartbeatMs: number;
  readonly blockIntervalMs: number;
  readonly gossipTakeoverMs: number;
  /** How long an L1 block is held for confirmed before it is made an anchor (R24). Default: the core's. */
  readonly anchorDelayMs?: number;
  /** Final blocks between two checkpoints of the log. */
  readonly checkpointIntervalBlocks?: number;
  /** Final blocks whose bodies are kept; undefined: all (R23). */
  readonly keepBodies?: number | undefined;
  readonly onFailure: (error: unknown) => void;
  /** How votes are signed and checked. Default: BLS by blst. */
  readonly createScheme?: (set: ValidatorSet, self: ValidatorIndex | undefined) => VoteScheme;
}
