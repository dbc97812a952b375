/** When a node lets go of old bodies, and what it never lets go of (R23). */

import { toHex } from '@squad/types';
import { beforeEach, expect, it } from 'vitest';
import { MIN_KEPT_BODIES_BLOCKS, sequencerOptions } from '../src/options.ts';
import { Pruner } from '../src/pruning.ts';
import { createGenesis, Journal, sealRun, until } from './support.ts';

const KEPT = 32;
const run = sealRun(createGenesis(4), 1, 2);
let pruned: [height: number, keep: readonly string[]][];
let durable: (() => void)[];
let bodies: { complete: number; from: number; letGoBefore: (height: number) => Promise<void> };
let indexed: number;
let pruning: () => Promise<void>;
let journal: Journal;
let pruner: Pruner;

beforeEach(() => {
  pruned = [];
  durable = [];
  indexed = 1_000;
  pruning = async () => {};
  journal = new Journal();
  bodies = {
    complete: 0,
    from: 1,
    letGoBefore: async (height) => {
      bodies.from = height;
    },
  };
  pruner = new Pruner({
    store: {
      pruneBodiesBefore: (height, keep) => {
        pruned.push([height, keep]);
        return pruning();
      },
      get transactionsIndexedThrough() {
        return indexed;
      },
    },
    bodies,
    keepBodies: KEPT,
    unordered: () => run.map(({ batch }) => batch.signed),
    whenDurable: (callback) => void durable.push(callback),
    logger: journal,
  });
});

/** The block is complete, and what came before it durable. */
async function reach(height: number): Promise<void> {
  bodies.complete = height;
  pruner.onProgress();
  for (const callback of durable.splice(0)) callback();
  await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}

it('comes now and then, keeps the last blocks and what is not ordered, and is noted', async () => {
  const keep = run.map(({ digest }) => toHex(digest));
  for (let height = 1; height <= KEPT + 4; height++) await reach(height);
  expect(pruned).toEqual([
    [3, keep],
    [5, keep],
  ]);
  expect(bodies.from).toBe(5);
});

it('waits for the index of transactions', async () => {
  indexed = 1;
  await reach(100);
  expect(pruned).toEqual([]);
  indexed = 9;
  await reach(101);
  expect(pruned.map(([height]) => height)).toEqual([10]);
});

it('begins when all that was ordered is durable, one at a time, and not after the end', async () => {
  bodies.complete = 100;
  pruner.onProgress();
  pruner.onProgress();
  expect([pruned.length, durable.length]).toEqual([0, 1]);
  let finish = () => {};
  pruning = () =>
    new Promise((resolve) => {
      finish = resolve;
    });
  durable.pop()!();
  bodies.complete = 200;
  pruner.onProgress();
  expect([pruned.length, durable.length]).toEqual([1, 0]);
  finish();
  await until('the next one', () => {
    pruner.onProgress();
    return durable.length === 1;
  });
  await pruner.stop();
  durable.pop()!();
  expect(pruned).toHaveLength(1);
});

it('that fails is told of, and tried again', async () => {
  pruning = () => Promise.reject(new Error('the disk is gone'));
  await reach(100);
  await reach(200);
  expect([pruned.length, journal.errors.length]).toEqual([2, 2]);
});

it('is of no fewer blocks than the others need', () => {
  const { type } = sequencerOptions.keepBodies;
  expect(type.safeParse(MIN_KEPT_BODIES_BLOCKS).success).toBe(true);
  expect(type.safeParse(MIN_KEPT_BODIES_BLOCKS - 1).success).toBe(false);
  expect(type.safeParse(undefined)).toEqual({ success: true, data: undefined });
});
