/** Arrival times: fixed, even, and dealt out to clients without a gap or a doubling. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createSchedule } from '../src/load/schedule.ts';

const options = fc.record({
  rate: fc.integer({ min: 1, max: 200_000 }),
  transactionsPerRequest: fc.integer({ min: 1, max: 1_000 }),
  clients: fc.integer({ min: 1, max: 8 }),
  durationUs: fc.integer({ min: 1, max: 5_000_000 }),
});

it('gives all clients together every multiple of the interval before the end, once', () => {
  fc.assert(
    fc.property(options, (given) => {
      const intervalUs = (given.transactionsPerRequest * 1e6) / given.rate;
      const due: number[] = [];
      for (let client = 0; client < given.clients; client++) {
        const schedule = createSchedule({ ...given, client });
        for (let i = 0; i < Math.min(schedule.requests, 500); i++) due.push(schedule.dueUs(i));
        // The next one would be due at the end or after it.
        expect(schedule.dueUs(schedule.requests)).toBeGreaterThanOrEqual(given.durationUs * (1 - 1e-9));
        if (schedule.requests > 0) expect(schedule.dueUs(schedule.requests - 1)).toBeLessThan(given.durationUs);
      }
      due.sort((a, b) => a - b);
      const whole = due.slice(0, Math.min(due.length, 500));
      for (const [index, dueUs] of whole.entries()) expect(dueUs).toBeCloseTo(index * intervalUs, 3);
    }),
  );
});

it('does not depend on what happened before', () => {
  const schedule = createSchedule({ rate: 1_000, transactionsPerRequest: 10, client: 1, clients: 2, durationUs: 1e6 });
  expect(schedule.requests).toBe(50);
  expect([schedule.dueUs(0), schedule.dueUs(1), schedule.dueUs(49)]).toEqual([10_000, 30_000, 990_000]);
});
