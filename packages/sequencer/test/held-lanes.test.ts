/** What is held of every lane: what is acknowledged, what stands in the way, what peers still need (R1, R3, R5). */

import { MAX_UNORDERED_BATCHES_PER_LANE, ZERO_HASH } from '@squad/types';
import { beforeEach, describe, expect, it } from 'vitest';
import type { StoredBatch } from '../src/actor.ts';
import { HeldLanes } from '../src/held-lanes.ts';
import { createGenesis, refOf, sealBatch, sealRun, transaction } from './support.ts';

const genesis = createGenesis(4);
const OWN = 0;
const AUTHOR = 2;
let lanes: HeldLanes;
beforeEach(() => {
  lanes = new HeldLanes(4);
});

const add = ({ batch, digest }: StoredBatch) => lanes.add(batch.signed, digest);
const standing = ({ batch, digest }: StoredBatch) => lanes.standing(batch.signed.header, digest);
const acknowledged = (author = AUTHOR) => lanes.acknowledgements([author])[0];
/** Another batch at the same place. */
const forkOf = (seq: number, previous = ZERO_HASH) =>
  sealBatch(genesis, AUTHOR, { seq, previous }, [transaction(99, seq)]);

describe('acknowledging', () => {
  it('says nothing of lanes of which nothing was held', () => {
    expect(lanes.acknowledgements([0, 1, 2, 3])).toEqual([]);
  });

  it('moves with every batch that follows, and only with those', () => {
    const run = sealRun(genesis, AUTHOR, 5);
    expect(add(run[0]!)).toBe(true);
    expect(add(run[2]!)).toBe(false);
    expect(add(run[3]!)).toBe(false);
    expect(acknowledged()).toEqual({ author: AUTHOR, seq: 0, digest: run[0]!.digest });
    expect(add(run[1]!)).toBe(true);
    expect(acknowledged()).toEqual({ author: AUTHOR, seq: 3, digest: run[3]!.digest });
    expect(lanes.head(AUTHOR)).toEqual({ nextSeq: 4, lastDigest: run[3]!.digest, unordered: 4 });
  });

  it('does not pass a batch that does not follow by digest', () => {
    const [first] = sealRun(genesis, AUTHOR, 1);
    add(first!);
    expect(add(sealBatch(genesis, AUTHOR, { seq: 1, previous: new Uint8Array(32).fill(1) }))).toBe(false);
    expect(acknowledged()?.seq).toBe(0);
  });
});

describe('the standing of a batch', () => {
  it('is new once, then known', () => {
    const [first] = sealRun(genesis, AUTHOR, 1);
    expect(standing(first!)).toBe('new');
    add(first!);
    expect(standing(first!)).toBe('known');
  });

  it('is an equivocation for the second one at a place, and the first stays (R5)', () => {
    const [first] = sealRun(genesis, AUTHOR, 1);
    add(first!);
    expect(standing(forkOf(0))).toBe('equivocation');
    expect(lanes.firstAt(AUTHOR, 0)).toMatchObject(first!.batch.signed);
  });

  it('is outside at the end of the window, and in it one before', () => {
    const window = 2 * MAX_UNORDERED_BATCHES_PER_LANE;
    expect(standing(sealBatch(genesis, AUTHOR, { seq: window - 1 }))).toBe('new');
    expect(standing(sealBatch(genesis, AUTHOR, { seq: window }))).toBe('outside');
    lanes.setFinalTip(AUTHOR, 5, ZERO_HASH);
    expect(standing(sealBatch(genesis, AUTHOR, { seq: 4 }))).toBe('outside');
    expect(standing(sealBatch(genesis, AUTHOR, { seq: 5 }))).toBe('new');
    expect(standing(sealBatch(genesis, AUTHOR, { seq: window + 4 }))).toBe('new');
    expect(standing(sealBatch(genesis, AUTHOR, { seq: window + 5 }))).toBe('outside');
  });

  it('is outside for an author who is none', () => {
    const { batch, digest } = sealBatch(genesis, 0);
    expect(lanes.standing({ ...batch.signed.header, author: 4 }, digest)).toBe('outside');
  });
});

describe('final blocks', () => {
  it('let go of what they order, and keep what follows', () => {
    const run = sealRun(genesis, AUTHOR, 6);
    run.forEach(add);
    lanes.finalize(run.slice(0, 4).map(refOf));
    expect(lanes.unordered().map(({ header }) => header.seq)).toEqual([4, 5]);
    expect(lanes.head(AUTHOR)).toEqual({ nextSeq: 6, lastDigest: run[5]!.digest, unordered: 2 });
    expect(acknowledged()?.seq).toBe(5);
  });

  it('overtake what is held, over a gap', () => {
    const run = sealRun(genesis, AUTHOR, 6);
    add(run[0]!);
    add(run[4]!);
    lanes.finalize(run.slice(0, 4).map(refOf));
    // The gap lies below what is final: what comes after it follows now.
    expect(acknowledged()).toEqual({ author: AUTHOR, seq: 4, digest: run[4]!.digest });
    expect(lanes.head(AUTHOR).unordered).toBe(1);
  });

  it('do not turn a lane back', () => {
    const run = sealRun(genesis, AUTHOR, 3);
    run.forEach(add);
    lanes.setFinalTip(AUTHOR, 2, run[1]!.digest);
    lanes.setFinalTip(AUTHOR, 1, run[0]!.digest);
    expect(standing(run[1]!)).toBe('outside');
    expect(lanes.head(AUTHOR)).toMatchObject({ nextSeq: 3, unordered: 1 });
  });

  it('decide between the branches of a lane that forks', () => {
    const run = sealRun(genesis, AUTHOR, 3);
    run.forEach(add);
    const other = forkOf(0);
    const next = forkOf(1, other.digest);
    lanes.finalize([refOf(other)]);
    // What is held follows the branch that lost.
    expect(acknowledged()).toEqual({ author: AUTHOR, seq: 0, digest: other.digest });
    expect(lanes.unordered()).toEqual([]);
    expect(standing(next)).toBe('new');
    expect(add(next)).toBe(true);
    expect(acknowledged()).toEqual({ author: AUTHOR, seq: 1, digest: next.digest });
  });

  it('leave a checkpoint with all lanes’ unordered batches by author and seq', () => {
    const own = sealRun(genesis, OWN, 2);
    const theirs = sealRun(genesis, AUTHOR, 3);
    for (const batch of [theirs[2]!, own[1]!, theirs[0]!, own[0]!, theirs[1]!]) add(batch);
    expect(lanes.unordered()).toEqual([...own, ...theirs].map(({ batch }) => batch.signed));
  });
});

describe('what a peer still needs of the own lane', () => {
  const PEER = 3;
  const needs = (limit = 8) => lanes.unacknowledgedBy(PEER, OWN, limit);

  it('is all of it, oldest first, up to the limit, before it said anything', () => {
    const run = sealRun(genesis, OWN, 10);
    run.forEach(add);
    expect(needs()).toEqual(run.slice(0, 8).map(({ digest }) => digest));
  });

  it('is what follows its word; an older word does not take it back', () => {
    const run = sealRun(genesis, OWN, 10);
    run.forEach(add);
    lanes.acknowledged(PEER, OWN, [{ author: OWN, seq: 6, digest: run[6]!.digest }]);
    lanes.acknowledged(PEER, OWN, [{ author: OWN, seq: 2, digest: run[2]!.digest }]);
    lanes.acknowledged(PEER, OWN, [{ author: AUTHOR, seq: 9, digest: ZERO_HASH }]);
    expect(needs()).toEqual(run.slice(7).map(({ digest }) => digest));
    lanes.forgetAcknowledged(PEER);
    expect(needs(1)).toEqual([run[0]!.digest]);
  });

  it('is nothing that is final', () => {
    const run = sealRun(genesis, OWN, 4);
    run.forEach(add);
    lanes.finalize(run.slice(0, 3).map(refOf));
    expect(needs()).toEqual([run[3]!.digest]);
  });

  it('is nothing after a word beyond the lane', () => {
    sealRun(genesis, OWN, 4).forEach(add);
    lanes.acknowledged(PEER, OWN, [{ author: OWN, seq: Number.MAX_SAFE_INTEGER - 1, digest: ZERO_HASH }]);
    expect(needs()).toEqual([]);
  });
});
