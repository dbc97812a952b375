/** Lanes of an author that equivocates (R1, R5, R11): what a quorum can order must be possible to hold. */

import type { BatchRef, ValidatorSet } from '@squad/types';
import { ZERO_HASH } from '@squad/types';
import { expect, it } from 'vitest';
import { emptyTips, Lanes, MAX_BATCHES_PER_SEQ } from '../src/lanes.ts';

const set: ValidatorSet = {
  epoch: 0,
  validators: Array.from({ length: 4 }, () => ({
    blsPublicKey: new Uint8Array(48),
    nodePublicKey: new Uint8Array(32),
    weight: 1,
  })),
};

function branch(i: number): BatchRef {
  return { author: 1, seq: 0, rollupId: 7, digest: new Uint8Array(32).fill(i + 1), joinsNext: false };
}

it('the branch that is stored last can be judged, however many were stored before, and the first one stays', () => {
  const lanes = new Lanes(set, 1, emptyTips(set));
  const branches = Array.from({ length: 3 * MAX_BATCHES_PER_SEQ }, (_, i) => branch(i));
  for (const ref of branches) {
    lanes.store({ ref, previousDigest: ZERO_HASH }, 0);
    expect(lanes.judge(1, [ref], emptyTips(set)).verdict).toBe('ok');
    expect(lanes.judge(1, [branches[0]!], emptyTips(set)).verdict).toBe('ok');
  }
  const held = branches.filter((ref) => lanes.judge(1, [ref], emptyTips(set)).verdict === 'ok');
  expect(held).toHaveLength(MAX_BATCHES_PER_SEQ);
});
