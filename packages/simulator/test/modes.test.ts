/** Both simulators: the same schedule gives the same event log, whatever ran before it in this process. */

import { describe, expect, it } from 'vitest';
import { MODES, modeOf } from '../src/modes.ts';

const SEEDS = {
  core: [21, 22, 23, 24],
  epochs: [5, 6, 7],
  l1: [2, 3, 4],
  node: [3, 4, 5],
  'node-epochs': [3, 5],
} as Record<string, readonly number[]>;

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

describe.each(['node', 'node-epochs'])('the %s simulator', (name) => {
  const mode = modeOf(name)!;
  /** What came later than the rest. */
  const without = (schedule: string) =>
    schedule.replace(
      /faults=(\S*)/,
      (_, faults: string) => `faults=${faults.split(',').filter((one) => one !== 'disk-call')}`,
    );

  it('draws whether calls of disks fail, and who lies in whole answers, without changing anything else', () => {
    const drawn = Array.from({ length: 200 }, (_, seed) => mode.draw(seed, {}));
    const faults = mode.faults.filter((fault) => fault !== 'disk-call');
    expect(drawn.map(without)).toEqual(drawn.map((_, seed) => mode.draw(seed, { faults })));
    for (const what of [/faults=\S*disk-call/, /byzantine=\S*:lane-equivocator/, /byzantine=\S*:liar/]) {
      const share = drawn.filter((schedule) => what.test(schedule)).length / drawn.length;
      expect(share).toBeGreaterThan(0.02);
      expect(share).toBeLessThan(0.5);
    }
  });
});

describe('clock, timers and randomness', () => {
  it('are the process’s own again after a run', async () => {
    const before = [Date.now, performance.now, Math.random, setTimeout, setInterval, clearTimeout];
    await modeOf('node')!.run(modeOf('node')!.draw(3, { faults: [], troubleMs: 100, settles: false }), 0);
    expect([Date.now, performance.now, Math.random, setTimeout, setInterval, clearTimeout]).toEqual(before);
  });
});
