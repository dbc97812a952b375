/**
 * What a Byzantine validator may do. It runs the real core and driver, so that it is never left behind, and bends what
 * goes in and out. It can sign whatever it likes with its own key and with no other.
 */

import type {
  Block,
  Certificate,
  ConsensusMessage,
  Epoch,
  HandOverProof,
  Height,
  L1BlockId,
  ValidatorIndex,
  View,
  Vote,
  VoteKind,
} from '@squad/types';
import type { HeldBatch } from '../../src/api.ts';
import type { Random } from '../prng.ts';

export interface AdversaryContext {
  /** Its position and those of the others: in the set of this epoch. In the next one it is another adversary of its kind. */
  readonly self: ValidatorIndex;
  readonly epoch: Epoch;
  /** Height of the epoch's boundary block; infinite if there is none. */
  readonly lastHeight: Height;
  /** Messages that it keeps over all epochs. */
  readonly memory: ConsensusMessage[];
  readonly others: readonly ValidatorIndex[];
  readonly random: Random;
  /** A part of the others that is the same for all adversaries of a schedule: they may act as one. */
  readonly side: ReadonlySet<ValidatorIndex>;
  leaderAt(view: View): ValidatorIndex;
  /** A block of the L1, or of a fork of it (R24). */
  l1At(number: number, fork: number): L1BlockId;
  /** `epoch`: of the vote; the present one if left out. In one that it is not in nobody takes its signature for genuine. */
  sign(kind: VoteKind, view: View, blockHash: Uint8Array, epoch?: number): Vote;
  send(to: ValidatorIndex, message: ConsensusMessage): void;
  /** Makes a second batch of the same place in its own lane known to all as one that can be fetched from here. */
  keepBatch(batch: HeldBatch): void;
  /** Runs `act` after a delay, unless the node is down then. */
  later(delayMs: number, act: () => void): void;
  /** Sets the node's clock to anything. */
  skewClock(): void;
  count(kind: string): void;
}

export interface Range {
  readonly blocks: readonly Block[];
  readonly certificate: Certificate;
}

export interface Adversary {
  /** What goes to `to` in place of a message that an honest node would send now. */
  send?(to: ValidatorIndex, message: ConsensusMessage): readonly ConsensusMessage[];
  /** After the core has seen a message. */
  received?(from: ValidatorIndex, message: ConsensusMessage): void;
  enteredView?(view: View, leader: ValidatorIndex): void;
  /** The batch that `to` gets in place of an own one; undefined: none. */
  spread?(to: ValidatorIndex, batch: HeldBatch): HeldBatch | undefined;
  /** Whether all batches of its own lane join the next one (R1). */
  neverCloses?: boolean;
  /** Whether it says what it holds of a lane. */
  acknowledges?(author: ValidatorIndex): boolean;
  /** Whether it answers a request for a batch. */
  servesBatch?(batch: HeldBatch): boolean;
  servesBlock?(block: Block): Block | undefined;
  /** A range of final blocks, and the finalization of the last. */
  servesRange?(range: Range): Range | undefined;
  servesHandOver?(proof: HandOverProof): HandOverProof | undefined;
}

export type AdversaryFactory = (context: AdversaryContext) => Adversary;
