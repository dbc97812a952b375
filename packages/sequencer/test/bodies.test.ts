/** Behind the final head: bodies that are missing are fetched, complete blocks are told, in order. */

import { type NodeStore, openMemoryNodeStore } from '@squad/storage';
import {
  type BatchRef,
  BatchRefs,
  Block,
  blockHashHex,
  encodeBatch,
  genesisBlock,
  MAX_BATCHES_PER_REQUEST,
  toHex,
} from '@squad/types';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StoredBatch } from '../src/actor.ts';
import type { BatchFetcher } from '../src/batch-fetcher.ts';
import { BODY_RUNS_FETCHED_AHEAD, Bodies } from '../src/bodies.ts';
import { createGenesis, Journal, refOf, sealBatch, transaction, until } from './support.ts';

const genesis = createGenesis(4);
let store: NodeStore;
let journal: Journal;
let completed: number[];
let asked: BatchRef[];
let fetch: (refs: readonly BatchRef[]) => Promise<void>;
const bodies: Bodies[] = [];

beforeEach(async () => {
  store = await openMemoryNodeStore();
  completed = [];
  journal = new Journal();
  asked = [];
  fetch = async () => {};
});
afterEach(async () => {
  for (const one of bodies.splice(0)) await one.stop();
});

function createBodies(over: NodeStore = store, keepBodies?: number): Bodies {
  const created = new Bodies({
    store: over,
    keepBodies,
    fetcher: {
      fetch: (refs: readonly BatchRef[]) => {
        asked.push(...refs);
        return fetch(refs);
      },
    } as unknown as BatchFetcher,
    onComplete: (height) => void completed.push(height),
    logger: journal,
  });
  bodies.push(created);
  return created;
}

async function keep(batches: readonly StoredBatch[]): Promise<void> {
  store.appendTurn({
    batches: batches.map(({ batch, digest }) => ({ digest: toHex(digest), bytes: encodeBatch(batch) })),
  });
  await store.sync();
}

async function finalize(height: number, batches: readonly StoredBatch[]): Promise<void> {
  const { header } = genesisBlock(genesis.networkId, 0);
  const refs = batches.map(refOf);
  const block = { header: { ...header, height, view: height, refsRoot: BatchRefs.hashTreeRoot(refs) }, refs };
  const hash = blockHashHex(block.header);
  store.appendTurn({
    finals: [{ height, hash, block: Block.serialize(block), certificate: undefined, batchDigests: [] }],
  });
  await store.sync();
}

const batchOf = (seq: number, count = 2) =>
  sealBatch(
    genesis,
    1,
    { seq },
    Array.from({ length: count }, (_, i) => transaction(1, 100 * seq + i)),
  );

describe('bodies', () => {
  it('that are held complete their blocks in order', async () => {
    const batches = [0, 1, 2, 3].map((seq) => batchOf(seq));
    await keep(batches);
    await finalize(1, batches.slice(0, 3));
    await finalize(2, []);
    await finalize(3, batches.slice(3));
    const one = createBodies();
    await one.start();
    await until('all three', () => one.complete === 3);
    expect([completed, asked]).toEqual([[3], []]);
  });

  it('tell those who wait for a height when it is complete, and let go of those who give up', async () => {
    const batches = [0, 1].map((seq) => batchOf(seq));
    await keep(batches.slice(0, 1));
    await finalize(1, batches.slice(0, 1));
    await finalize(2, batches.slice(1));
    fetch = () => keep(batches.slice(1));
    const one = createBodies();
    const gaveUp = new AbortController();
    const told: string[] = [];
    const wait = (name: string, height: number, signal = new AbortController().signal) =>
      one.reached(height, signal).then(() => told.push(name));
    const waits = [wait('second', 2), wait('first', 1), wait('gave up', 9, gaveUp.signal)];
    gaveUp.abort();
    await waits[2];
    await one.start();
    await Promise.all(waits);
    expect([told[0], told.slice(1).sort()]).toEqual(['gave up', ['first', 'second']]);
    await one.reached(2, new AbortController().signal);
  });

  it('that are missing are asked for, and again, until they come', async () => {
    const batches = [0, 1].map((seq) => batchOf(seq));
    await finalize(1, batches);
    let calls = 0;
    fetch = async () => {
      if (++calls === 2) await keep(batches);
    };
    const one = createBodies();
    await one.start();
    await until('the block', () => one.complete === 1);
    expect(calls).toBe(2);
    expect(asked.slice(0, 2)).toEqual(batches.map(refOf));
    const [warning] = journal.warnings;
    expect(warning).toMatchObject({ fields: { height: 1, batches: 2 } });
    expect(warning?.message).toMatch(/no peer .* has the bodies .* --keep-bodies/);
    expect(completed).toEqual([1]);
  });

  it('of blocks far behind are fetched in several runs at once, and complete in order', async () => {
    const blocks = BODY_RUNS_FETCHED_AHEAD + 2;
    const batches = Array.from({ length: blocks }, (_, i) =>
      Array.from({ length: MAX_BATCHES_PER_REQUEST }, (_, j) => batchOf(MAX_BATCHES_PER_REQUEST * i + j, 1)),
    );
    for (const [i, ofBlock] of batches.entries()) await finalize(i + 1, ofBlock);
    const answers: (() => void)[] = [];
    fetch = (refs) => new Promise((resolve) => answers.push(() => void keep(batchesOf(refs)).then(resolve)));
    const batchesOf = (refs: readonly BatchRef[]) =>
      batches.flat().filter(({ digest }) => refs.some((ref) => toHex(ref.digest) === toHex(digest)));
    const one = createBodies();
    await one.start();
    await until('the requests', () => answers.length === BODY_RUNS_FETCHED_AHEAD);
    // The last answer first: nothing is complete before the first run is.
    for (const answer of answers.splice(1).reverse()) answer();
    await until('the answers', () => store.hasBatch(toHex(batches[1]![0]!.digest)));
    expect([completed, answers.length]).toEqual([[], 1]);
    answers.shift()!();
    await until('the runs behind', () => answers.length === 2);
    for (const answer of answers) answer();
    await until('all blocks', () => one.complete === blocks);
    expect(completed).toEqual(Array.from({ length: blocks }, (_, i) => i + 1));
  });

  it('that were complete at an orderly end are told at the next start', async () => {
    for (let height = 1; height <= 3; height++) await finalize(height, []);
    const first = createBodies();
    await first.start();
    await until('all three', () => first.complete === 3);
    await first.stop();
    completed = [];
    const second = createBodies();
    await second.start();
    expect([completed, second.complete]).toEqual([[3], 3]);
  });

  it('that nobody answers for do not hold up the end', async () => {
    await finalize(1, [batchOf(0)]);
    fetch = () => new Promise(() => {});
    const one = createBodies();
    await one.start();
    await until('the request', () => asked.length > 0);
    await one.stop();
    expect(one.complete).toBe(0);
  });

  it('of a node that prunes are asked for only as far below the head as they are kept', async () => {
    const batches = Array.from({ length: 10 }, (_, seq) => batchOf(seq));
    for (const [i, batch] of batches.entries()) await finalize(i + 1, [batch]);
    fetch = () => keep(batches.slice(6));
    const one = createBodies(store, 4);
    await one.start();
    await until('the last four', () => one.complete === 10);
    expect(asked).toEqual(batches.slice(6).map(refOf));
    expect([completed, one.from]).toEqual([[6, 10], 7]);
    await one.stop();
    // Noted: whatever the next start keeps, the others are not here.
    const again = createBodies();
    await again.start();
    expect([again.complete, again.from]).toEqual([10, 7]);
  });

  it('that nobody has are given up once they are older than what is kept, in the middle of a run, too', async () => {
    const batches = Array.from({ length: 8 }, (_, seq) => batchOf(seq));
    for (let height = 1; height <= 4; height++) await finalize(height, [batches[height - 1]!]);
    const one = createBodies(store, 4);
    await one.start();
    await until('what is missing to be told', () => /those of block 1: .* --keep-bodies/.test(one.progress(4)));
    for (let height = 5; height <= 6; height++) await finalize(height, [batches[height - 1]!]);
    await keep(batches.slice(2));
    one.onFinal(6);
    await until('the rest', () => one.complete === 6);
    expect([completed, one.from]).toEqual([[2, 4, 6], 3]);
  });
});
