/** Behind complete bodies: every transaction of every block is found, whatever a stop or a crash came between. */

import { keccak256 } from '@squad/crypto/node';
import { silentLogger } from '@squad/service';
import { createNodeStore, MemoryKeyValueStore, MemoryLog, type NodeStore } from '@squad/storage';
import { Block, blockHashHex, encodeBatch, genesisBlock, toHex } from '@squad/types';
import { beforeEach, describe, expect, it } from 'vitest';
import type { StoredBatch } from '../src/actor.ts';
import { HashPrefixes, hashPrefixesOf, isPlausible, MAX_HASH_PREFIX_BYTES } from '../src/hash-prefixes.ts';
import { TransactionIndexer } from '../src/transaction-indexer.ts';
import { findTransaction } from '../src/transaction-lookup.ts';
import { createGenesis, refOf, sealBatch, transaction, until } from './support.ts';

const genesis = createGenesis(2);
const AUTHOR = 1;

const batchOf = (seq: number) =>
  sealBatch(genesis, AUTHOR, { seq }, [transaction(AUTHOR, 2 * seq), transaction(AUTHOR, 2 * seq + 1)]);
/** Block h orders batches 2h and 2h + 1. */
const batchesOf = (height: number): StoredBatch[] => [batchOf(2 * height), batchOf(2 * height + 1)];

async function finalize(store: NodeStore, height: number, { withBodies = true } = {}): Promise<void> {
  const batches = batchesOf(height);
  const block: Block = {
    header: { ...genesisBlock(genesis.networkId, 0).header, height, view: height },
    refs: batches.map(refOf),
  };
  store.appendTurn({
    batches: withBodies
      ? batches.map(({ batch, digest }) => ({ digest: toHex(digest), bytes: encodeBatch(batch) }))
      : [],
    finals: [
      {
        height,
        hash: blockHashHex(block.header),
        block: Block.serialize(block),
        certificate: undefined,
        batchDigests: batches.map(({ digest }) => toHex(digest)),
      },
    ],
  });
  await store.sync();
}

let prefixes = new HashPrefixes();
beforeEach(() => {
  prefixes = new HashPrefixes();
});
const createIndexer = (store: NodeStore) =>
  new TransactionIndexer({ store, hashPrefixes: prefixes, logger: silentLogger });

const placeOf = (store: NodeStore, number: number) =>
  findTransaction(store, toHex(keccak256(transaction(AUTHOR, number))));

it('finds every transaction at its place, and counts those since the start', async () => {
  const store = await createNodeStore({ log: new MemoryLog(), keyValueStore: new MemoryKeyValueStore() });
  await finalize(store, 1);
  const indexer = createIndexer(store);
  for (const height of [2, 3]) await finalize(store, height);
  indexer.onComplete(1);
  indexer.onComplete(3);
  await until('the index', () => store.transactionsIndexedThrough === 3);
  for (let number = 4; number < 16; number++) {
    const batchIndex = (number >> 1) & 1;
    const place = { height: number >> 2, batchIndex, transactionIndex: number & 1 };
    expect(await placeOf(store, number)).toMatchObject({ ...place, ref: { author: AUTHOR, seq: number >> 1 } });
  }
  expect(await placeOf(store, 16)).toBeUndefined();
  expect(indexer.transactions).toBe(8);
});

it('takes up after a crash the blocks whose places were lost, though their bodies were known to be complete', async () => {
  let log = new MemoryLog();
  let keyValueStore = new MemoryKeyValueStore();
  const store = await createNodeStore({ log, keyValueStore });
  for (const height of [1, 2, 3]) await finalize(store, height);
  const before = createIndexer(store);
  before.onComplete(3);
  await until('the index', () => store.transactionsIndexedThrough === 3);
  log = log.crash(0);
  keyValueStore = keyValueStore.crash(0);

  const after = await createNodeStore({ log, keyValueStore });
  expect(after.transactionsIndexedThrough).toBe(0);
  const indexer = createIndexer(after);
  await finalize(after, 4);
  indexer.onComplete(4);
  await until('the index', () => after.transactionsIndexedThrough === 4);
  for (let number = 4; number < 20; number++) expect(await placeOf(after, number)).toBeDefined();
  expect(indexer.transactions).toBe(4);
});

it('stops between two batches, and goes on from there', async () => {
  const store = await createNodeStore({ log: new MemoryLog(), keyValueStore: new MemoryKeyValueStore() });
  for (const height of [1, 2]) await finalize(store, height);
  const first = createIndexer(store);
  first.onComplete(2);
  await first.stop();
  expect(store.transactionsIndexedThrough).toBe(0);
  const second = createIndexer(store);
  second.onComplete(2);
  await until('the index', () => store.transactionsIndexedThrough === 2);
  for (let number = 4; number < 12; number++) expect((await placeOf(store, number))?.height).toBe(number >> 2);
});

it('goes on after it was told of what is indexed already, as at every restart', async () => {
  const store = await createNodeStore({ log: new MemoryLog(), keyValueStore: new MemoryKeyValueStore() });
  await finalize(store, 1);
  const first = createIndexer(store);
  first.onComplete(1);
  await until('the index', () => store.transactionsIndexedThrough === 1);
  await first.stop();
  const second = createIndexer(store);
  second.onComplete(1);
  await finalize(store, 2);
  second.onComplete(2);
  await until('the index', () => store.transactionsIndexedThrough === 2);
  expect((await placeOf(store, 8))?.height).toBe(2);
});

it('passes over bodies that were pruned before their turn', async () => {
  const store = await createNodeStore({ log: new MemoryLog(), keyValueStore: new MemoryKeyValueStore() });
  await finalize(store, 1, { withBodies: false });
  await finalize(store, 2);
  const indexer = createIndexer(store);
  indexer.onComplete(2);
  await until('the index', () => store.transactionsIndexedThrough === 2);
  expect(await placeOf(store, 4)).toBeUndefined();
  expect((await placeOf(store, 8))?.height).toBe(2);
});

it('believes what the author told of hashes: what is looked up is checked where it is found', async () => {
  const store = await createNodeStore({ log: new MemoryLog(), keyValueStore: new MemoryKeyValueStore() });
  await finalize(store, 1);
  const [first, second] = batchesOf(1) as [StoredBatch, StoredBatch];
  prefixes.keep(toHex(first.digest), hashPrefixesOf(first.batch.body));
  // The second one's author lies: it says the hashes of the first.
  prefixes.keep(toHex(second.digest), hashPrefixesOf(first.batch.body));
  createIndexer(store).onComplete(1);
  await until('the index', () => store.transactionsIndexedThrough === 1);
  expect(await placeOf(store, 4)).toMatchObject({ batchIndex: 0, transactionIndex: 0 });
  expect(await placeOf(store, 5)).toMatchObject({ batchIndex: 0, transactionIndex: 1 });
  expect(await placeOf(store, 6)).toBeUndefined();
});

describe('hash prefixes', () => {
  it('are handed out once, and the oldest go when there are too many', () => {
    const half = new Uint8Array(MAX_HASH_PREFIX_BYTES / 2);
    prefixes.keep('0x01', half);
    prefixes.keep('0x02', half);
    expect([prefixes.take('0x01'), prefixes.take('0x01')]).toEqual([half, undefined]);
    prefixes.keep('0x03', half);
    prefixes.keep('0x04', new Uint8Array(8));
    expect([prefixes.take('0x02'), prefixes.take('0x03')?.length]).toEqual([undefined, half.length]);
  });

  it('are implausible where one that is looked at is wrong', () => {
    const { body } = batchOf(1).batch;
    const right = hashPrefixesOf(body);
    expect([0, 0.49, 0.5, 0.999].map((random) => isPlausible(body, right, random))).toEqual([true, true, true, true]);
    const wrong = right.slice();
    wrong[15]! ^= 1;
    expect([0, 0.49, 0.5, 0.999].map((random) => isPlausible(body, wrong, random))).toEqual([true, true, false, false]);
  });
});
