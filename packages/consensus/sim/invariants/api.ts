/** What the invariants look at, and what they throw. */

import type { Block, Epoch, Height, L1BlockId, ValidatorIndex, ValidatorSet, View, Vote } from '@squad/types';
import type { HeldBatch } from '../../src/api.ts';
import type { SignatureRegistry } from '../mock-scheme.ts';

export class InvariantViolation extends Error {
  readonly invariant: string;

  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`);
    this.name = 'InvariantViolation';
    this.invariant = invariant;
  }
}

/** More Byzantine weight than the protocol tolerates has forked the chain, and enough of it stands convicted: the end. */
export class ForkConvicted extends Error {}

/** One validator, as far as it can be looked at from outside. */
export interface ObservedNode {
  readonly index: ValidatorIndex;
  /** Its place among all nodes; two of one validator have two. */
  readonly place: number;
  readonly name: string;
  /** Whether a record of this vote would survive a crash now. */
  isVoteDurable(vote: Vote): boolean;
  isBatchDurable(digest: Uint8Array): boolean;
  isBlockKnown(hash: string): boolean;
  /** Whether the record that ends this epoch would survive a crash now. */
  isEndDurable?(): boolean;
}

/** The bounds of the epoch that is looked at (R22). */
export interface EpochBounds {
  readonly number: Epoch;
  /** What its first block is built on. */
  readonly root: Block;
  readonly lastHeight: Height;
  readonly nextSetHash: Uint8Array;
  /** What else the operator's file of a node has named, by place. */
  disputedHash?(place: number): Uint8Array | undefined;
  hashOfSet(set: ValidatorSet): Uint8Array;
  /** Places that there are; positions of an epoch may be fewer. */
  readonly places: number;
}

export interface MadeBatch extends Pick<HeldBatch, 'ref' | 'previousDigest'> {
  /** Virtual time at which its author had it at the earliest. */
  readonly madeAtMs: number;
}

export interface InvariantContext {
  readonly networkId: Uint8Array;
  readonly genesisTimeMs: number;
  readonly weights: readonly number[];
  readonly validatorSet: ValidatorSet;
  /** More is Byzantine than the protocol tolerates: the chain may fork, and then enough of them must be convicted. */
  readonly isOverloaded: boolean;
  readonly registry: Pick<SignatureRegistry, 'genuine' | 'signersOf' | 'schemeFor'>;
  nodes(): readonly ObservedNode[];
  isByzantine(index: ValidatorIndex): boolean;
  /** The batch that an honest or Byzantine author really made with this digest. */
  batchOf(digest: Uint8Array): MadeBatch | undefined;
  leaderAt(view: View): ValidatorIndex;
  latestLocalNowMs(): number;
  /** Virtual time. */
  nowMs(): number;
  count(kind: string): void;
  /** What the nodes see of an L1 (R24); undefined: the network follows none. */
  readonly l1?:
    | {
        readonly anchor: L1BlockId;
        hasSeen(place: number, block: L1BlockId): boolean;
        leadsTo(below: L1BlockId, above: L1BlockId): boolean;
      }
    | undefined;
  /** Undefined: the set validates for ever. */
  readonly epoch?: EpochBounds | undefined;
}
