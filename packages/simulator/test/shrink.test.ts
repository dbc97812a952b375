/** Shrinking, and a campaign on threads, against a mode that fails where it is told to. */

import { describe, expect, it } from 'vitest';
import { runCampaign } from '../src/campaign.ts';
import { coreMode } from '../src/core-mode.ts';
import type { Mode, Outcome } from '../src/mode.ts';
import { shrink } from '../src/shrink.ts';

/** Schedules are sets of letters; one fails that holds both `a` and `c`, in another way one that holds `z`. */
const letters: Mode = {
  name: 'letters',
  faults: [],
  adversaries: [],
  rules: {},
  draw: (seed) => `letters ${seed}`,
  run: async (schedule): Promise<Outcome> => {
    const invariant = schedule.includes('z') ? 'other' : schedule.includes('a') && schedule.includes('c') ? 'both' : '';
    return {
      logHash: schedule,
      counts: new Map(),
      steps: 1,
      finalHeight: 0,
      failure: invariant === '' ? undefined : { invariant, message: schedule, trace: '' },
      *simpler() {
        for (const letter of schedule) yield schedule.replace(letter, '');
        yield `${schedule}z`;
      },
    };
  },
};

describe('shrinking', () => {
  it('ends at the smallest schedule that breaks the same invariant', async () => {
    const shrunk = await shrink(letters, 'xaybzcd'.replace('z', ''), 'both');
    expect([...shrunk.schedule].sort().join('')).toBe('ac');
  });

  it('stops at the bound of runs with what it has', async () => {
    const shrunk = await shrink(letters, 'aaaaaaaac', 'both', 3);
    expect(shrunk.runs).toBe(3);
    expect(shrunk.schedule).toContain('a');
    expect(shrunk.schedule).toContain('c');
  });
});

describe('a campaign', () => {
  it('comes to the same on one thread as on two', async () => {
    const campaign = (workers: number) =>
      runCampaign({ mode: coreMode, firstSeed: 1, seeds: 40, draw: {}, workers, chunkSeeds: 10, keepGoing: true });
    const [one, two] = [await campaign(1), await campaign(2)];
    expect(one.done).toBe(40);
    expect(one.failed).toEqual([]);
    expect(two.steps).toBe(one.steps);
    expect(new Map([...two.counts].sort())).toEqual(new Map([...one.counts].sort()));
  });
});
