/** Quorums and the leader schedule (R6): what safety and fairness rest on. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  epochOfHeight,
  faultyWeight,
  LeaderSchedule,
  lastHeightOf,
  MAX_VALIDATOR_WEIGHT,
  MAX_VALIDATORS,
  quorumWeight,
  totalWeight,
  type ValidatorSet,
  validatorSetFault,
  weightOf,
} from '../src/index.ts';

function setOf(weights: readonly number[], epoch = 0): ValidatorSet {
  return {
    epoch,
    validators: weights.map((weight) => ({
      blsPublicKey: new Uint8Array(48),
      nodePublicKey: new Uint8Array(32),
      weight,
    })),
  };
}

const equal = (size: number) => Array.from({ length: size }, () => 1);
const weightLists = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 30 });

describe('quorums', () => {
  it('for 1 to 100 equal validators: two quorums share more than F, and the honest alone are one', () => {
    for (let total = 1; total <= 100; total++) {
      const [faulty, quorum] = [faultyWeight(total), quorumWeight(total)];
      expect(3 * faulty).toBeLessThan(total);
      expect(3 * (faulty + 1)).toBeGreaterThanOrEqual(total);
      expect(2 * quorum - total).toBeGreaterThan(faulty);
      expect(total - faulty).toBeGreaterThanOrEqual(quorum);
      // One less would not do: two such groups could share F or fewer.
      if (total > 1) expect(2 * (quorum - 1) - total).toBeLessThanOrEqual(faulty + 1);
    }
    expect([1, 2, 3, 4, 5, 6, 7, 10, 100].map(quorumWeight)).toEqual([1, 2, 3, 3, 4, 5, 5, 7, 67]);
  });

  it('any two quorums of any weights share more than F', () => {
    const cases = weightLists.chain((weights) =>
      fc.tuple(fc.constant(weights), fc.shuffledSubarray(weights.map((_, i) => i)), fc.infiniteStream(fc.nat())),
    );
    fc.assert(
      fc.property(cases, ([weights, order, randoms]) => {
        const set = setOf(weights);
        const total = totalWeight(set);
        const quorumFrom = (indices: readonly number[]) => {
          const members: number[] = [];
          for (const index of indices) if (weightOf(set, members) < quorumWeight(total)) members.push(index);
          return members;
        };
        const everyone = weights.map((_, i) => i);
        const one = quorumFrom([...order, ...everyone.filter((i) => !order.includes(i))]);
        const keys = everyone.map(() => randoms.next().value as number);
        const two = quorumFrom(everyone.toSorted((a, b) => keys[a]! - keys[b]!));
        const shared = one.filter((index) => two.includes(index));
        expect(weightOf(set, shared)).toBeGreaterThan(faultyWeight(total));
      }),
      { numRuns: 300 },
    );
  });

  it('an index outside the set has no weight', () => {
    expect(weightOf(setOf([1, 2]), [1, 2, -1, 0.5])).toBe(2);
  });
});

describe('leader schedule', () => {
  it('equal weights: every window of n views has n distinct leaders, also where the cycle wraps', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: MAX_VALIDATORS }),
        fc.nat(),
        fc.nat({ max: 100_000 }),
        fc.integer({ min: 1, max: 1000 }),
        (size, epoch, start, weight) => {
          const schedule = new LeaderSchedule(
            setOf(
              equal(size).map(() => weight),
              epoch,
            ),
          );
          const leaders = Array.from({ length: size }, (_, i) => schedule.leaderAt(start + i));
          expect(new Set(leaders).size).toBe(size);
          expect(leaders.every((leader) => leader >= 0 && leader < size)).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('leads in proportion to weight, exactly in a cycle and nearly in any run of views', () => {
    fc.assert(
      fc.property(weightLists, fc.nat(), fc.nat({ max: 10_000 }), (weights, epoch, start) => {
        const schedule = new LeaderSchedule(setOf(weights, epoch));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const counts = weights.map(() => 0);
        for (let turn = 1; turn <= total; turn++) {
          counts[schedule.leaderAt(start + turn)]!++;
          // Within the cycle no validator is ever more than a few turns ahead of or behind its share.
          if (turn % 7 === 0) {
            for (const [i, weight] of weights.entries()) {
              expect(Math.abs(counts[i]! - (turn * weight) / total)).toBeLessThan(weights.length);
            }
          }
        }
        expect(counts).toEqual(weights);
      }),
      { numRuns: 100 },
    );
  });

  it('is the same for weights with a common factor', () => {
    const views = Array.from({ length: 40 }, (_, i) => i);
    const plain = new LeaderSchedule(setOf([1, 2, 3, 5], 9));
    const scaled = new LeaderSchedule(setOf([1000, 2000, 3000, 5000], 9));
    expect(views.map((view) => scaled.leaderAt(view))).toEqual(views.map((view) => plain.leaderAt(view)));
  });

  it('differs between epochs, and stays what it is', () => {
    const order = (epoch: number) => {
      const schedule = new LeaderSchedule(setOf(equal(7), epoch));
      return Array.from({ length: 7 }, (_, view) => schedule.leaderAt(view));
    };
    expect(new Set(Array.from({ length: 50 }, (_, epoch) => order(epoch).join())).size).toBeGreaterThan(40);
    // Golden: a change would let old and new nodes disagree on who leads.
    expect(order(0)).toEqual([6, 2, 0, 1, 3, 4, 5]);
    expect(order(1)).toEqual([3, 1, 4, 5, 2, 6, 0]);
  });

  it('bounds its cycle for weights of any size, and leaves nobody out', () => {
    const weights = Array.from({ length: MAX_VALIDATORS }, (_, i) => (i === 0 ? 1 : 999_983 - 7 * i));
    const schedule = new LeaderSchedule(setOf(weights));
    const seen = new Set(Array.from({ length: 70_000 }, (_, view) => schedule.leaderAt(view)));
    expect(seen.size).toBe(MAX_VALIDATORS);
  });
});

describe('a set that may validate (R22)', () => {
  const distinct = (size: number, weight = 1): ValidatorSet => ({
    epoch: 3,
    validators: Array.from({ length: size }, (_, i) => ({
      blsPublicKey: new Uint8Array(48).fill(i + 1).fill(i >> 8, 0, 1),
      nodePublicKey: new Uint8Array(32).fill(i + 1).fill(i >> 8, 0, 1),
      weight,
    })),
  });

  it('has validators, not too many', () => {
    expect(validatorSetFault(distinct(1))).toBeUndefined();
    expect(validatorSetFault(distinct(MAX_VALIDATORS))).toBeUndefined();
    expect(validatorSetFault(distinct(0))).toBe('it has no validators');
    expect(validatorSetFault(distinct(MAX_VALIDATORS + 1))).toContain('more than 256');
  });

  it('has weights within bounds', () => {
    expect(validatorSetFault(distinct(2, MAX_VALIDATOR_WEIGHT))).toBeUndefined();
    for (const weight of [0, -1, 1.5, MAX_VALIDATOR_WEIGHT + 1]) {
      expect(validatorSetFault(distinct(2, weight))).toContain(`validator 0 has weight ${weight}`);
    }
  });

  it('has no key twice', () => {
    const [a, b] = distinct(2).validators;
    const two = (second: typeof a) => validatorSetFault({ epoch: 3, validators: [a!, second!] });
    expect(two(b)).toBeUndefined();
    expect(two({ ...b!, blsPublicKey: a!.blsPublicKey })).toContain('validator 1 has a key');
    expect(two({ ...b!, nodePublicKey: a!.nodePublicKey })).toContain('validator 1 has a key');
  });
});

describe('the heights of an epoch (R22)', () => {
  it('each height has one epoch, the last of which is the boundary', () => {
    expect([0, 1, 4, 5, 8, 9].map((height) => epochOfHeight(height, 4))).toEqual([0, 0, 0, 1, 1, 2]);
    for (let epoch = 0; epoch < 5; epoch++) {
      const boundary = lastHeightOf(epoch, 7);
      expect(epochOfHeight(boundary, 7)).toBe(epoch);
      expect(epochOfHeight(boundary + 1, 7)).toBe(epoch + 1);
    }
  });
});
