/** Percentiles against sorting everything: within 0.4 %, whatever the size of the values. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Histogram } from '../src/load/histogram.ts';

const values = fc.array(fc.tuple(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.integer({ min: 1, max: 50 })), {
  minLength: 1,
  maxLength: 60,
});

function of(recorded: readonly (readonly [number, number])[]): Histogram {
  const histogram = new Histogram();
  for (const [value, count] of recorded) histogram.record(value, count);
  return histogram;
}

it('gives each percentile as sorting would, to 0.4 % and never too low', () => {
  fc.assert(
    fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (recorded, share) => {
      const histogram = of(recorded);
      const sorted = recorded.flatMap(([value, count]) => new Array<number>(count).fill(value)).sort((a, b) => a - b);
      const exact = sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1]!;
      const given = histogram.percentileUs(share)!;
      expect(given).toBeGreaterThanOrEqual(exact);
      expect(given).toBeLessThanOrEqual(exact * 1.004 + 1);
      expect(histogram.total).toBe(sorted.length);
      expect(histogram.maxUs).toBe(sorted.at(-1));
    }),
  );
});

it('is the same after a way through another process, and merged from parts', () => {
  fc.assert(
    fc.property(values, values, (a, b) => {
      const merged = Histogram.fromSparse(of(a).toSparse());
      merged.merge(Histogram.fromSparse(of(b).toSparse()));
      expect(merged.toSparse()).toEqual(of([...a, ...b]).toSparse());
      expect(merged.percentileUs(0.5)).toBe(of([...a, ...b]).percentileUs(0.5));
    }),
  );
});

it('has no percentile of nothing', () => {
  expect(new Histogram().percentileUs(0.5)).toBeUndefined();
});
