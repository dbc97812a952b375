/** Both simulators: the same schedule gives the same event log, whatever ran before it in this process. */

import { describe, expect, it } from 'vitest';
import { MODES, modeOf } from '../src/modes.ts';

const SEEDS = { core: [21, 22, 23, 24], epochs: [5, 6, 7], node: [3, 4, 5], 'node-epochs': [3, 5] } as Record<
  string,
  readonly number[]
>;

describe.each(MODES.map(({ name }) => name))('the %s simulator', (name) => {
  const mode = modeOf(name)!;

  it('gives the same event log for the same schedule, and another one for another', async () => {
    const hashes = new Set<string>();
    for (const seed of SEEDS[name]!) {
      const schedule = mode.draw(seed, {});
      const first = await mode.run(schedule, 0);
      expect(first.failure).toBeUndefined();
      const second = await mode.run(schedule, 20);
      expect(second.logHash).toBe(first.logHash);
      expect(second.counts).toEqual(first.counts);
      expect(second.steps).toBe(first.steps);
      hashes.add(first.logHash);
    }
    expect(hashes.size).toBe(SEEDS[name]!.length);
  });

  it('draws what it is told to draw', () => {
    const calm = mode.draw(1, { faults: [], nodes: 4, troubleMs: 700, settles: true });
    expect(calm).toContain('faults= byzantine= trouble=700');
    expect(calm).toContain('settles=1');
  });
});

describe('clock, timers and randomness', () => {
  it('are the process’s own again after a run', async () => {
    const before = [Date.now, performance.now, Math.random, setTimeout, setInterval, clearTimeout];
    await modeOf('node')!.run(modeOf('node')!.draw(3, { faults: [], troubleMs: 100, settles: false }), 0);
    expect([Date.now, performance.now, Math.random, setTimeout, setInterval, clearTimeout]).toEqual(before);
  });
});
