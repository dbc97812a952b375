/** Validator sets, weights, quorums and the leader schedule (R6). */

import { ContainerType, ListCompositeType, type ValueOf } from '@chainsafe/ssz';
import { type Bytes32, type Epoch, toHex, type ValidatorIndex, type Weight } from './ids.ts';
import { MAX_VALIDATOR_WEIGHT, MAX_VALIDATORS } from './limits.ts';
import { Bytes32Type, Bytes48Type, EpochType, WeightType } from './ssz.ts';

export const Validator = new ContainerType(
  {
    /** BLS12-381 G1, compressed: signs votes. */
    blsPublicKey: Bytes48Type,
    /** Ed25519: signs batches and is the libp2p identity. */
    nodePublicKey: Bytes32Type,
    weight: WeightType,
  },
  { typeName: 'Validator', jsonCase: 'eth2' },
);
export type Validator = ValueOf<typeof Validator>;

export const ValidatorSet = new ContainerType(
  { epoch: EpochType, validators: new ListCompositeType(Validator, MAX_VALIDATORS) },
  { typeName: 'ValidatorSet', jsonCase: 'eth2' },
);
export type ValidatorSet = ValueOf<typeof ValidatorSet>;

export function validatorSetHash(set: ValidatorSet): Bytes32 {
  return ValidatorSet.hashTreeRoot(set);
}

/**
 * What makes a set unfit to validate an epoch; undefined if nothing does. Proofs of possession are no part of a set: whoever
 * lets one in (the genesis file, the registry) has checked them.
 */
export function validatorSetFault({ validators }: ValidatorSet): string | undefined {
  if (validators.length === 0) return 'it has no validators';
  if (validators.length > MAX_VALIDATORS) return `it has ${validators.length} validators, more than ${MAX_VALIDATORS}`;
  const seen = new Set<string>();
  for (const [index, { blsPublicKey, nodePublicKey, weight }] of validators.entries()) {
    if (!Number.isInteger(weight) || weight < 1 || weight > MAX_VALIDATOR_WEIGHT) {
      return `validator ${index} has weight ${weight}, not within 1 to ${MAX_VALIDATOR_WEIGHT}`;
    }
    for (const key of [toHex(blsPublicKey), toHex(nodePublicKey)]) {
      if (seen.has(key)) return `validator ${index} has a key that another one has`;
      seen.add(key);
    }
  }
  return undefined;
}

export function totalWeight(set: ValidatorSet): Weight {
  let total = 0;
  for (const { weight } of set.validators) total += weight;
  return total;
}

/** F: the greatest Byzantine weight that is tolerated, floor((W-1)/3). */
export function faultyWeight(total: Weight): Weight {
  return Math.floor((total - 1) / 3);
}

/** Least weight of a quorum: W - F, which is not 2F + 1. */
export function quorumWeight(total: Weight): Weight {
  return total - faultyWeight(total);
}

export function weightOf(set: ValidatorSet, signers: Iterable<ValidatorIndex>): Weight {
  let sum = 0;
  for (const signer of signers) sum += set.validators[signer]?.weight ?? 0;
  return sum;
}

/**
 * The leaders of an epoch (R6): smooth weighted round robin over a permutation seeded by the epoch. It repeats with the
 * sum of the weights (divided by their greatest common divisor); with equal weights every window of n views has n
 * distinct leaders. `leaderAt(view)` costs O(1).
 */
export class LeaderSchedule {
  readonly epoch: Epoch;
  readonly #cycle: Uint16Array;

  constructor(set: ValidatorSet) {
    this.epoch = set.epoch;
    const order = permutation(set.validators.length, set.epoch);
    const weights = scaled(order.map((index) => set.validators[index]!.weight));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const current = weights.map(() => 0);
    this.#cycle = new Uint16Array(total);
    for (let turn = 0; turn < total; turn++) {
      let best = 0;
      for (let i = 0; i < weights.length; i++) {
        current[i]! += weights[i]!;
        if (current[i]! > current[best]!) best = i;
      }
      current[best]! -= total;
      this.#cycle[turn] = order[best]!;
    }
  }

  leaderAt(view: number): ValidatorIndex {
    return this.#cycle[view % this.#cycle.length]!;
  }
}

/** Turns in one cycle of the schedule; larger weights are scaled down to it, none below 1. */
const MAX_SCHEDULE_TURNS = 1 << 16;

function scaled(weights: readonly number[]): number[] {
  const divisor = weights.reduce(gcd, 0);
  const exact = weights.map((weight) => weight / divisor);
  const total = exact.reduce((sum, weight) => sum + weight, 0);
  if (total <= MAX_SCHEDULE_TURNS) return exact;
  return exact.map((weight) => Math.max(1, Math.floor((weight / total) * MAX_SCHEDULE_TURNS)));
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** Fisher-Yates by a 32-bit generator (splitmix32) seeded with the epoch: the same on every platform. */
function permutation(size: number, seed: number): number[] {
  const order = Array.from({ length: size }, (_, i) => i);
  let state = (seed + 1) >>> 0;
  for (let i = size - 1; i > 0; i--) {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    z ^= z >>> 15;
    const j = (z >>> 0) % (i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
