/**
 * Who validates in which epoch. A schedule with epochs has identities 0, 1, …, of which each epoch's set has some, in this
 * order; positions are those in the set, and another one's in the next. Without epochs one set of all validates for ever.
 */

import {
  type Epoch,
  faultyWeight,
  type Height,
  LeaderSchedule,
  lastHeightOf,
  quorumWeight,
  type ValidatorIndex,
  type ValidatorSet,
  validatorSetHash,
} from '@squad/types';
import type { Random } from './prng.ts';

/** Of a schedule: the epochs' length and their sets, which come again and again. */
export interface EpochSchedule {
  readonly lengthBlocks: number;
  /** Weight by identity; 0: not in it. */
  readonly sets: readonly (readonly number[])[];
  /** The first of the sets that come again; those before it are there once. Default: 0. */
  readonly repeatsFrom?: number | undefined;
  /** Whether one node is off through three epochs and then comes back. */
  readonly hasAbsentee: boolean;
  /** Undefined: all operators agree on all sets. */
  readonly dispute?: SetDispute | undefined;
}

/** Operators whose files name another set for an epoch than those of the others. */
export interface SetDispute {
  readonly epoch: Epoch;
  readonly identities: readonly number[];
  /** How long it lasts once the set has to be named. */
  readonly lastsMs: number;
}

export interface PlannedEpoch {
  readonly number: Epoch;
  /** Identities by position. */
  readonly members: readonly number[];
  /** By position. */
  readonly weights: readonly number[];
  readonly validatorSet: ValidatorSet;
  readonly leaders: LeaderSchedule;
  /** Infinite without epochs. */
  readonly lastHeight: Height;
  positionOf(identity: number): ValidatorIndex | undefined;
}

export interface PlannedKeys {
  readonly blsPublicKey: Uint8Array;
  readonly nodePublicKey: Uint8Array;
}

export interface PlanOptions {
  /** `rotation`: how often the validator has had a new BLS key. Default: bytes that are nobody's keys. */
  readonly keysOf: (identity: number, rotation: number) => PlannedKeys;
  /** The last epoch whose set differs from the one before. Default: there is none. */
  readonly lastChange: Epoch;
}

export class EpochPlan {
  readonly #weights: readonly number[];
  readonly #schedule: EpochSchedule | undefined;
  readonly #options: PlanOptions;
  readonly #epochs = new Map<Epoch, PlannedEpoch>();

  constructor(
    weights: readonly number[],
    schedule: EpochSchedule | undefined,
    options: PlanOptions = { keysOf: mockKeys, lastChange: Number.POSITIVE_INFINITY },
  ) {
    this.#weights = weights;
    this.#schedule = schedule;
    this.#options = options;
  }

  at(number: Epoch): PlannedEpoch {
    let epoch = this.#epochs.get(number);
    if (!epoch) {
      epoch = this.#plan(number);
      this.#epochs.set(number, epoch);
    }
    return epoch;
  }

  nextSetHash(number: Epoch): Uint8Array {
    return validatorSetHash(this.at(number + 1).validatorSet);
  }

  /** What a file says of the epoch that differs from those of the others: one weighs more. */
  disputedSet(number: Epoch): ValidatorSet {
    const { epoch, validators } = this.at(number).validatorSet;
    return { epoch, validators: validators.map((one, i) => (i === 0 ? { ...one, weight: one.weight + 1 } : one)) };
  }

  /** Whether neither those who are in the dispute nor the others could end the epoch before, with all that is Byzantine. */
  isSplit({ epoch, identities }: SetDispute, byzantine: ReadonlySet<number>): boolean {
    const { members, weights } = this.at(epoch - 1);
    const weigh = (isCounted: (identity: number) => boolean) =>
      members.reduce((sum, identity, i) => sum + (isCounted(identity) ? weights[i]! : 0), 0);
    const quorum = quorumWeight(weigh(() => true));
    const isIn = (identity: number) => identities.includes(identity);
    return (
      weigh((identity) => byzantine.has(identity) || isIn(identity)) < quorum &&
      weigh((identity) => byzantine.has(identity) || !isIn(identity)) < quorum
    );
  }

  #plan(number: Epoch): PlannedEpoch {
    const schedule = this.#schedule;
    const like = Math.min(number, this.#options.lastChange);
    const all = schedule ? setAt(schedule, like) : this.#weights;
    const members = all.flatMap((weight, identity) => (weight > 0 ? [identity] : []));
    const weights = members.map((identity) => all[identity]!);
    const positions = all.map((_, identity) => {
      const position = members.indexOf(identity);
      return position < 0 ? undefined : position;
    });
    const validatorSet: ValidatorSet = {
      epoch: number,
      validators: members.map((identity, position) => ({
        ...this.#options.keysOf(identity, rotations(identity, like, all.length)),
        weight: weights[position]!,
      })),
    };
    return {
      number,
      members,
      weights,
      validatorSet,
      leaders: new LeaderSchedule(validatorSet),
      lastHeight: schedule ? lastHeightOf(number, schedule.lengthBlocks) : Number.POSITIVE_INFINITY,
      positionOf: (identity) => positions[identity],
    };
  }
}

function setAt({ sets, repeatsFrom = 0 }: EpochSchedule, number: Epoch): readonly number[] {
  const place = number < sets.length ? number : repeatsFrom + ((number - repeatsFrom) % (sets.length - repeatsFrom));
  return sets[place]!;
}

/** In place of a position, for the invariants: of a node that is not in the set. Below 0. */
export function followerIndex(identity: number): number {
  return -1 - identity;
}

export function identityOfFollower(index: number): number {
  return -1 - index;
}

/** At each boundary one identity gets a new key: how often this one did. */
function rotations(identity: number, epoch: Epoch, size: number): number {
  return epoch < identity ? 0 : 1 + Math.floor((epoch - identity) / size);
}

function mockKeys(identity: number, rotation: number): PlannedKeys {
  return { blsPublicKey: keyOf(48, identity, rotation), nodePublicKey: keyOf(32, identity, 0) };
}

function keyOf(byteLength: number, identity: number, rotation: number): Uint8Array {
  const key = new Uint8Array(byteLength);
  new DataView(key.buffer).setUint32(0, identity + 1);
  new DataView(key.buffer).setUint32(4, rotation);
  return key;
}

/**
 * Sets in each of which no more is Byzantine than it tolerates: weights change, some leave, some join. `least`: validators in
 * each. One or two that need nobody pass a short epoch faster than one message takes on a slow link: who follows falls behind.
 */
export function drawEpochs(
  random: Random,
  weights: readonly number[],
  byzantine: ReadonlySet<number>,
  least: number,
): EpochSchedule {
  const sets: (readonly number[])[] = [];
  const count = random.integer(2, 4);
  let before = weights;
  while (sets.length < count) {
    before = changedSet(random, before, weights, byzantine, least);
    sets.push(before);
  }
  return { lengthBlocks: random.integer(3, 6), sets, hasAbsentee: random.chance(0.25) };
}

function changedSet(
  random: Random,
  before: readonly number[],
  fallback: readonly number[],
  byzantine: ReadonlySet<number>,
  least: number,
): readonly number[] {
  for (let attempt = 0; attempt < 30; attempt++) {
    const set = before.map((weight) => {
      if (random.chance(0.2)) return weight === 0 ? random.integer(1, 3) : 0;
      return random.chance(0.3) && weight > 0 ? random.integer(1, 3) : weight;
    });
    if (set.filter(Boolean).length >= least && isFit(set, byzantine)) return set;
  }
  return fallback;
}

/** Whether a set can do its work: somebody is in it, and no more Byzantine weight than it tolerates. One alone may be. */
export function isFit(set: readonly number[], byzantine: ReadonlySet<number>): boolean {
  const total = set.reduce((sum, weight) => sum + weight, 0);
  const evil = set.reduce((sum, weight, identity) => sum + (byzantine.has(identity) ? weight : 0), 0);
  return total > 0 && evil <= faultyWeight(total);
}
