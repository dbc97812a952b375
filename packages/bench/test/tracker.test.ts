/** From batch references to transactions, in whatever order answers and blocks come. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Request } from '../src/load/session.ts';
import { LaneTracker } from '../src/load/tracker.ts';

const request = (dueUs: number): Request => ({ dueUs, sentUs: dueUs, answeredUs: dueUs });

function createTracker() {
  const reached: { stage: string; dueUs: number; atUs: number; count: number }[] = [];
  const tracker = new LaneTracker((stage, { dueUs }, atUs, count) => reached.push({ stage, dueUs, atUs, count }));
  return { tracker, reached };
}

it('times a request that fills parts of two batches by each of them', () => {
  const { tracker, reached } = createTracker();
  tracker.placed(request(100), [
    [7, 40, 10],
    [8, 0, 30],
  ]);
  expect(tracker.unfinal).toBe(40);
  tracker.ordered({ stage: 'soft', seq: 7, atUs: 200, proposedUs: 150 });
  tracker.ordered({ stage: 'final', seq: 7, atUs: 300, proposedUs: 150 });
  expect(tracker.unfinal).toBe(30);
  // Final without having been seen as soft.
  tracker.ordered({ stage: 'final', seq: 8, atUs: 400, proposedUs: 350 });
  expect(tracker.unfinal).toBe(0);
  expect(reached).toEqual([
    { stage: 'soft', dueUs: 100, atUs: 200, count: 10 },
    { stage: 'final', dueUs: 100, atUs: 300, count: 10 },
    { stage: 'soft', dueUs: 100, atUs: 400, count: 30 },
    { stage: 'final', dueUs: 100, atUs: 400, count: 30 },
  ]);
});

it('counts each transaction once at each stage, whatever comes first and however often', () => {
  const events = fc.array(
    fc.oneof(
      fc.record({ placed: fc.array(fc.tuple(fc.nat(5), fc.nat(9), fc.integer({ min: 1, max: 9 })), { maxLength: 3 }) }),
      fc.record({ stage: fc.constantFrom('soft' as const, 'final' as const), seq: fc.nat(5) }),
    ),
  );
  fc.assert(
    fc.property(events, (given) => {
      const { tracker, reached } = createTracker();
      const placed = new Map<number, number>();
      for (const [index, event] of given.entries()) {
        if ('placed' in event) {
          tracker.placed(request(index), event.placed);
          for (const [seq, , count] of event.placed) placed.set(seq, (placed.get(seq) ?? 0) + count);
        } else tracker.ordered({ ...event, atUs: index, proposedUs: index });
      }
      const finalSeqs = new Set(
        given.flatMap((event) => ('stage' in event && event.stage === 'final' ? [event.seq] : [])),
      );
      const orderedSeqs = new Set(given.flatMap((event) => ('stage' in event ? [event.seq] : [])));
      const sum = (stage: string) =>
        reached.filter((one) => one.stage === stage).reduce((total, { count }) => total + count, 0);
      const expected = (seqs: ReadonlySet<number>) =>
        [...placed].reduce((total, [seq, count]) => total + (seqs.has(seq) ? count : 0), 0);
      expect(sum('final')).toBe(expected(finalSeqs));
      expect(sum('soft')).toBe(expected(orderedSeqs));
      expect(tracker.unfinal).toBe([...placed.values()].reduce((a, b) => a + b, 0) - expected(finalSeqs));
    }),
  );
});
