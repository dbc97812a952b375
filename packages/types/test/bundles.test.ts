/** Where a run of a lane may be cut (R1): after whole bundles, of 16 batches at most. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bundleEnds, MAX_BUNDLE_BATCHES } from '../src/index.ts';

/** `+`: the next one joins; `.`: it does not. */
const run = (text: string) => [...text].map((sign) => ({ joinsNext: sign === '+' }));

it.each([
  ['', []],
  ['...', [1, 2, 3]],
  ['.++..', [1, 4, 5]],
  ['++', []],
  ['.+', [1]],
  [`${'+'.repeat(MAX_BUNDLE_BATCHES - 1)}..`, [MAX_BUNDLE_BATCHES, MAX_BUNDLE_BATCHES + 1]],
  // One too many: it ends nowhere, and nothing behind it is reached.
  [`.${'+'.repeat(MAX_BUNDLE_BATCHES)}..`, [1]],
])('%j may be cut after %j', (text, ends) => {
  expect(bundleEnds(run(text))).toEqual(ends);
});

it('a cut leaves whole bundles before it, and after it ends what ended there before', () => {
  const runs = fc.array(fc.constantFrom('+', '+', '+', '.'), { maxLength: 60 }).map((signs) => run(signs.join('')));
  fc.assert(
    fc.property(runs, (whole) => {
      const ends = bundleEnds(whole);
      for (const [i, end] of ends.entries()) {
        expect(whole[end - 1]!.joinsNext).toBe(false);
        expect(end - (ends[i - 1] ?? 0)).toBeLessThanOrEqual(MAX_BUNDLE_BATCHES);
        expect(bundleEnds(whole.slice(0, end))).toEqual(ends.slice(0, i + 1));
        expect(bundleEnds(whole.slice(end))).toEqual(ends.slice(i + 1).map((later) => later - end));
      }
    }),
  );
});
