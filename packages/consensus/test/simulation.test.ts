/** The protocol whole: thousands of schedules of faults and adversaries, each from a seed that replays it exactly. */

import { describe, expect, it } from 'vitest';
import { ADVERSARY_NAMES } from '../sim/adversaries/index.ts';
import { describeSchedule, runSchedule } from '../sim/run.ts';
import { FAULT_NAMES } from '../sim/schedule.ts';

const SCHEDULES = 2_000;
const PARTS = 20;

describe('safety and liveness', () => {
  const reached = new Map<string, number>();

  it.each(Array.from({ length: PARTS }, (_, i) => i))('holds in every schedule, part %i', (part) => {
    const each = SCHEDULES / PARTS;
    for (let seed = 1 + part * each; seed <= (part + 1) * each; seed++) {
      const { failure, counts } = runSchedule(seed, {}, 0);
      for (const [kind, count] of counts) reached.set(kind, (reached.get(kind) ?? 0) + count);
      if (!failure) continue;
      const again = runSchedule(seed);
      throw new Error(
        `${describeSchedule(again.schedule)}\n${again.failure?.trace}\n${failure.message}\n` +
          `Again: npm run sim -- --seed ${seed} --seeds 1 --trace`,
      );
    }
  });

  it('the schedules reach every fault, every adversary and every kind of event', () => {
    const expected = [
      ...FAULT_NAMES.map((name) => `fault ${name}`),
      ...ADVERSARY_NAMES.map((name) => `adversary ${name}`),
      'a block that skips views',
      'a leader restarted without its proposal',
      'a view both nullified and notarized',
      'blocked by a partition',
      'checkpoint',
      'delivered again after a crash',
      'duplicated',
      'evidence E1',
      'evidence E2',
      'evidence E3',
      'evidence E4',
      'fetchBatches',
      'fetchBlock',
      'fetchRange',
      'lost',
      'misbehaved',
      'nullification',
      'several blocks final at once',
    ];
    expect(expected.filter((kind) => !reached.has(kind))).toEqual([]);
  });
});

describe('a seed', () => {
  it('replays to the same event log, and another one does not', () => {
    for (const seed of [11, 12, 13, 14, 15]) {
      const first = runSchedule(seed);
      const second = runSchedule(seed, {}, 0);
      expect(second.logHash).toBe(first.logHash);
      expect(second.counts).toEqual(first.counts);
      expect(runSchedule(seed + 1_000).logHash).not.toBe(first.logHash);
    }
  });
});
