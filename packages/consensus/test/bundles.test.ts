/** Bundles (R1, R10, R11): a leader orders whole ones only, and no voter takes a block that cuts one. */

import {
  type BatchRef,
  MAX_BATCH_REFS_PER_BLOCK,
  MAX_BUNDLE_BATCHES,
  type ValidatorSet,
  VoteKind,
  ZERO_HASH,
} from '@squad/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HeldBatch } from '../src/api.ts';
import { emptyTips, Lanes } from '../src/lanes.ts';
import { Fixture, ofType, sentVotes } from './harness.ts';

const DELAY_MS = 100;

function setOf(size: number): ValidatorSet {
  return {
    epoch: 0,
    validators: Array.from({ length: size }, () => ({
      blsPublicKey: new Uint8Array(48),
      nodePublicKey: new Uint8Array(32),
      weight: 1,
    })),
  };
}

/** A lane as a text: `+`: the next batch belongs with it; `.`: it does not. */
function laneOf(author: number, text: string): HeldBatch[] {
  const lane: HeldBatch[] = [];
  for (const [seq, sign] of [...text].entries()) {
    const digest = new Uint8Array(32).fill(author % 256);
    digest[0] = seq;
    digest[1] = author >> 8;
    digest[2] = 1;
    const ref = { author, seq, rollupId: 1, digest, joinsNext: sign === '+' };
    lane.push({ ref, previousDigest: lane.at(-1)?.ref.digest ?? ZERO_HASH });
  }
  return lane;
}

function lanesWith(size: number, texts: readonly string[], nowMs = 0): Lanes {
  const set = setOf(size);
  const lanes = new Lanes(set, Math.floor((size - 1) / 3), emptyTips(set));
  for (const [author, text] of texts.entries()) for (const batch of laneOf(author, text)) lanes.store(batch, nowMs);
  return lanes;
}

const seqsOf = (refs: readonly BatchRef[], author: number) =>
  refs.filter((ref) => ref.author === author).map(({ seq }) => seq);
const upTo = (count: number) => Array.from({ length: count }, (_, seq) => seq);
const joined = (count: number) => `${'+'.repeat(count - 1)}.`;

describe('a leader', () => {
  const collect = (lanes: Lanes, size: number, nowMs = DELAY_MS) =>
    lanes.collect(0, emptyTips(setOf(size)), nowMs, DELAY_MS);

  it('cuts a lane back to its last whole bundle', () => {
    const refs = collect(lanesWith(4, ['..++', '++.+', '++', '.']), 4);
    expect([0, 1, 2, 3].map((author) => seqsOf(refs, author))).toEqual([[0, 1], [0, 1, 2], [], [0]]);
  });

  it('orders a bundle of 16, and nothing of a lane with one of 17', () => {
    const refs = collect(lanesWith(4, [joined(MAX_BUNDLE_BATCHES), `${joined(MAX_BUNDLE_BATCHES + 1)}.`]), 4);
    expect([seqsOf(refs, 0), seqsOf(refs, 1)]).toEqual([upTo(16), []]);
  });

  it('does not take the part of a bundle that enough have acknowledged', () => {
    const lanes = lanesWith(4, ['.++']);
    const [first, second, third] = laneOf(0, '.++.');
    for (const from of [1, 2]) lanes.acknowledge(from, { author: 0, seq: 2, digest: third!.ref.digest });
    expect(seqsOf(collect(lanes, 4, 0), 0)).toEqual([0]);
    lanes.store(laneOf(0, '.++.')[3]!, 0);
    expect(seqsOf(collect(lanes, 4, 0), 0)).toEqual([0]);
    for (const from of [1, 2]) {
      lanes.acknowledge(from, { author: 0, seq: 3, digest: laneOf(0, '.++.')[3]!.ref.digest });
    }
    expect(seqsOf(collect(lanes, 4, 0), 0)).toEqual([0, 1, 2, 3]);
    expect(first!.ref.joinsNext || !second!.ref.joinsNext).toBe(false);
  });

  it('gives a bundle its place in the largest set, where a lane’s share of a block is smaller', () => {
    const size = 256;
    const texts = Array.from({ length: size }, (_, author) => (author % 2 === 0 ? joined(16) : '...'));
    const refs = collect(lanesWith(size, texts), size);
    expect(refs.length).toBeLessThanOrEqual(MAX_BATCH_REFS_PER_BLOCK);
    expect([seqsOf(refs, 0), seqsOf(refs, 1)]).toEqual([upTo(16), upTo(2)]);
    for (const author of texts.keys()) expect([0, 2, 16]).toContain(seqsOf(refs, author).length);
  });

  it('waits for a bundle that is not whole as for nothing, and for one that is since it is', () => {
    const tips = emptyTips(setOf(4));
    const lanes = lanesWith(4, ['++']);
    expect(lanes.nextCollectableMs(tips, 50, DELAY_MS)).toBeUndefined();
    expect(lanes.oldestUnorderedMs(tips)).toBeUndefined();
    lanes.store(laneOf(0, '++.')[2]!, 70);
    expect(lanes.nextCollectableMs(tips, 80, DELAY_MS)).toBe(70 + DELAY_MS);
    expect(lanes.oldestUnorderedMs(tips)).toBe(70);
    expect(lanes.nextCollectableMs(tips, 70 + DELAY_MS, DELAY_MS)).toBe(70 + DELAY_MS);
  });

  it('wakes up for what it can order, and orders it then, whatever bundles there are', () => {
    const text = fc.array(fc.constantFrom('+', '+', '.'), { maxLength: 40 }).map((signs) => signs.join(''));
    fc.assert(
      fc.property(fc.array(text, { minLength: 4, maxLength: 4 }), (texts) => {
        const lanes = lanesWith(4, texts);
        const at = lanes.nextCollectableMs(emptyTips(setOf(4)), 0, DELAY_MS);
        expect(collect(lanes, 4, at ?? 10 * DELAY_MS).length > 0).toBe(at !== undefined);
      }),
    );
  });
});

describe('a voter', () => {
  /** A node holds a lane of validator 0, and gets a proposal of the leader of view 1 that orders these refs of it. */
  function propose(text: string, count: number, change: (ref: BatchRef) => BatchRef = (ref) => ref) {
    const fixture = new Fixture();
    const lane = laneOf(0, text);
    for (const batch of lane) fixture.step({ type: 'batchStored', batch });
    fixture.take();
    fixture.sendProposal(fixture.proposal({ view: 1, refs: lane.slice(0, count).map(({ ref }) => change(ref)) }));
    const outputs = fixture.take();
    return {
      notarized: sentVotes(outputs, VoteKind.notarize).length > 0,
      nullified: sentVotes(outputs, VoteKind.nullify).length > 0,
      blamed: ofType(outputs, 'misbehaved').map(({ reason }) => reason),
    };
  }

  it('takes whole bundles, up to the longest', () => {
    expect(propose('.++..', 4)).toMatchObject({ notarized: true, blamed: [] });
    expect(propose(joined(MAX_BUNDLE_BATCHES), MAX_BUNDLE_BATCHES)).toMatchObject({ notarized: true });
  });

  it.each([
    ['a block that ends within a bundle', '.++..', 2],
    ['one that ends just before a bundle does', '.++..', 3],
    ['a bundle of 17', joined(MAX_BUNDLE_BATCHES + 1), MAX_BUNDLE_BATCHES + 1],
  ])('gives the view up at once for %s', (_what, text, count) => {
    const { notarized, nullified, blamed } = propose(text, count);
    expect([notarized, nullified]).toEqual([false, true]);
    expect(blamed).toEqual([expect.stringContaining('cuts a bundle of lane 0')]);
  });

  it('compares what a ref says with the batch', () => {
    const { notarized, blamed } = propose('.++..', 3, (ref) => ({ ...ref, joinsNext: ref.seq === 1 }));
    expect(notarized).toBe(false);
    expect(blamed).toEqual([expect.stringContaining('differ on whether the next one belongs with it')]);
  });
});
