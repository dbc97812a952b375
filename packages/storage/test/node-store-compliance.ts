/** What every node store must do, on disk and in memory. */

import { createHash } from 'node:crypto';
import { HASH_PREFIX_BYTES } from '@squad/types';
import { describe, expect, it } from 'vitest';
import {
  type FinalToStore,
  MAX_BATCHES_IN_INDEX,
  MAX_CONSENSUS_KIND,
  MAX_META_BYTES,
  MAX_META_KEY_BYTES,
  MAX_TRANSACTION_CANDIDATES,
  type NodeStore,
  RECENT_BLOCKS,
  TRANSACTION_RUN_ENTRIES,
} from '../src/index.ts';
import type { Subject } from './compliance.ts';
import { collect, name, record, refusal, rejection } from './support.ts';

export interface NodeStoreSizes {
  readonly segmentBytes: number;
  readonly batchCacheBytes: number;
}

const SIZES: NodeStoreSizes = { segmentBytes: 4096, batchCacheBytes: 3000 };
const BATCH = 1;
const BLOCK = 2;

export const batch = (number: number, byteLength = 1000) => ({
  digest: name(BATCH, number),
  bytes: new Uint8Array(byteLength).fill(number),
});

export function final(height: number, batches: readonly number[] = [], hasCertificate = true): FinalToStore {
  return {
    height,
    hash: name(BLOCK, height),
    block: Uint8Array.of(1, height & 255),
    certificate: hasCertificate ? Uint8Array.of(2, height & 255) : undefined,
    batchDigests: batches.map((number) => name(BATCH, number)),
  };
}

const stored = (height: number, hasCertificate = true) => {
  const { hash, block, certificate } = final(height, [], hasCertificate);
  return { height, hash, block, certificate };
};

/** Hashes that differ at their beginning: it is all that the index keeps. */
export const hashOf = (number: number): Uint8Array => createHash('sha256').update(String(number)).digest();
export const prefixOf = (number: number): Uint8Array => hashOf(number).subarray(0, HASH_PREFIX_BYTES);

const place = (height: number, batchIndex: number, transactionIndex: number) => ({
  height,
  batchIndex,
  transactionIndex,
});

async function append(store: NodeStore, turn: Parameters<NodeStore['appendTurn']>[0]): Promise<number[]> {
  const positions = store.appendTurn(turn);
  await store.sync();
  return positions;
}

export function describeNodeStore(label: string, create: (sizes: NodeStoreSizes) => Promise<Subject<NodeStore>>): void {
  describe(`NodeStore, ${label}`, () => {
    it('is empty at first', async () => {
      const store = await (await create(SIZES)).open();
      expect(store.head).toBe(0);
      expect(await store.readBlock(0)).toBeUndefined();
      expect(await store.heightOf(name(BLOCK, 1))).toBeUndefined();
      expect(await store.finalizationAt(1)).toBeUndefined();
      expect(await store.nextFinalizationAtOrAfter(0)).toBeUndefined();
      expect(store.hasBatch(name(BATCH, 1))).toBe(false);
      expect(await store.readBatch(name(BATCH, 1))).toBeUndefined();
      expect(await collect(store.replayConsensus())).toEqual([]);
      expect(store.transactionsIndexedThrough).toBe(0);
      await store.close();
    });

    it('shows a turn only once it is durable (R20)', async () => {
      const store = await (await create(SIZES)).open();
      store.appendTurn({ batches: [batch(1)], finals: [final(1, [1])] });
      const before = async () => [
        store.head,
        store.hasBatch(name(BATCH, 1)),
        await store.readBatch(name(BATCH, 1)),
        await store.readBlock(1),
        await store.heightOf(name(BLOCK, 1)),
        await store.nextFinalizationAtOrAfter(0),
      ];
      expect(await before()).toEqual([0, false, undefined, undefined, undefined, undefined]);
      const syncing = store.sync();
      expect([store.head, store.hasBatch(name(BATCH, 1))]).toEqual([0, false]);
      store.appendTurn({ batches: [batch(2)], finals: [final(2, [2])] });
      await syncing;
      expect(store.head).toBe(1);
      expect([store.hasBatch(name(BATCH, 1)), store.hasBatch(name(BATCH, 2))]).toEqual([true, false]);
      await store.sync();
      expect(store.head).toBe(2);
      expect(store.hasBatch(name(BATCH, 2))).toBe(true);
      await store.close();
    });

    it('reads batches from memory, from the log, and after a restart', async () => {
      const subject = await create(SIZES);
      let store = await subject.open();
      for (let i = 1; i <= 20; i++) await append(store, { batches: [batch(i)] });
      await append(store, { batches: [batch(21, 10_000), batch(22, 0)] });
      const check = async () => {
        for (let i = 1; i <= 20; i++) {
          expect(store.hasBatch(name(BATCH, i))).toBe(true);
          expect(await store.readBatch(name(BATCH, i))).toEqual(batch(i).bytes);
        }
        expect(await store.readBatch(name(BATCH, 21))).toEqual(batch(21, 10_000).bytes);
        expect(await store.readBatch(name(BATCH, 22))).toEqual(new Uint8Array(0));
      };
      await check();
      await store.close();
      store = await subject.open();
      await check();
      await store.close();
    });

    it('reads many batches at a time, from memory and from the log, and tells which are missing', async () => {
      const subject = await create(SIZES);
      let store = await subject.open();
      for (let i = 1; i <= 20; i++) await append(store, { batches: [batch(i)] });
      store.appendTurn({ batches: [batch(21)] });
      const asked = [20, 30, 1, 7, 21, 1];
      const digests = asked.map((i) => name(BATCH, i));
      const check = async (held: readonly number[]) => {
        const expected = asked.map((i) => (held.includes(i) ? batch(i).bytes : undefined));
        expect(await store.readBatches(digests)).toEqual(expected);
        expect(await store.missingBatches(digests)).toEqual(digests.filter((_, i) => !held.includes(asked[i]!)));
      };
      await check([1, 7, 20]); // 21 is not durable yet
      await store.close();
      store = await subject.open();
      await check([1, 7, 20, 21]);
      expect([await store.readBatches([]), await store.missingBatches([])]).toEqual([[], []]);
      await store.close();
    });

    it('reads blocks from a height on, up to a number of them and to its head', async () => {
      const subject = await create(SIZES);
      let store = await subject.open();
      const finals = Array.from({ length: 9 }, (_, i) => final(i + 1, [], i % 2 === 1));
      await append(store, { finals: finals.slice(0, 6) });
      await store.close();
      store = await subject.open();
      await append(store, { finals: finals.slice(6) }); // not in the index yet
      store.appendTurn({ finals: [final(10)] });
      const heights = async (from: number, count: number) =>
        (await store.readBlocks(from, count)).map(({ height }) => height);
      expect(await store.readBlocks(5, 3)).toEqual([5, 6, 7].map((height) => stored(height, height % 2 === 0)));
      expect(await heights(1, 100)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect([await heights(10, 5), await heights(0, 5), await heights(3, 0)]).toEqual([[], [], []]);
      await store.close();
    });

    it('begins at a block that is trusted, once, and goes on from there', async () => {
      const subject = await create(SIZES);
      let store = await subject.open();
      await store.startAt(final(70), [record(8, 1), record(9, 1)]);
      await append(store, { batches: [batch(1)], finals: [final(71, [1])] });
      const check = async () => {
        expect([store.head, store.transactionsIndexedThrough]).toEqual([71, 70]);
        expect(await store.readBlocks(70, 9)).toEqual([stored(70), stored(71)]);
        expect([await store.readBlock(69), await store.readBlocks(1, 100)]).toEqual([undefined, []]);
        expect((await collect(store.replayConsensus())).map(({ kind }) => kind)).toEqual([8, 9]);
        await rejection(store.startAt(final(90), [record(9, 1)]), 'STORE_GAP');
      };
      await check();
      await store.close();
      store = await subject.open();
      await check();
      await store.indexTransactions(0, prefixOf(1));
      await store.completeTransactions(71);
      expect(await store.transactionCandidates(hashOf(1))).toEqual([place(71, 0, 0)]);
      await store.close();
    });

    it('keeps the first of two batches with one digest, and does not grow by the second', async () => {
      const store = await (await create(SIZES)).open();
      await append(store, { batches: [batch(1), { digest: name(BATCH, 1), bytes: Uint8Array.of(9) }] });
      store.appendTurn({ batches: [batch(2)] });
      expect(await append(store, { batches: [batch(1), batch(2)] })).toEqual([]);
      expect(await store.readBatch(name(BATCH, 1))).toEqual(batch(1).bytes);
      await store.close();
    });

    it('reads blocks by height and hash, and certificates where there are any, before and after a restart', async () => {
      const subject = await create(SIZES);
      let store = await subject.open();
      await append(store, { finals: [1, 2, 3].map((height) => final(height, [], height === 3)) });
      // Of the few that are not in the index yet.
      const next = await Promise.all([1, 3, 4].map((height) => store.nextFinalizationAtOrAfter(height)));
      expect(next.map((found) => found?.height)).toEqual([3, 3, undefined]);
      for (let height = 4; height <= 600; height++)
        store.appendTurn({ finals: [final(height, [], height % 10 === 0)] });
      await store.sync();
      const hasCertificate = (height: number) => height === 3 || (height > 3 && height % 10 === 0);
      const check = async () => {
        expect(store.head).toBe(600);
        for (const height of [1, 3, 4, 10, 255, 256, 257, 599, 600]) {
          expect(await store.readBlock(height)).toEqual(stored(height, hasCertificate(height)));
          expect(await store.heightOf(name(BLOCK, height))).toBe(height);
          expect(await store.finalizationAt(height)).toEqual(stored(height, hasCertificate(height)).certificate);
        }
        expect(await store.readBlock(601)).toBeUndefined();
        expect((await store.nextFinalizationAtOrAfter(0))?.height).toBe(3);
        expect((await store.nextFinalizationAtOrAfter(3))?.height).toBe(3);
        expect(await store.nextFinalizationAtOrAfter(4)).toEqual({ height: 10, certificate: Uint8Array.of(2, 10) });
        expect((await store.nextFinalizationAtOrAfter(591))?.height).toBe(600);
        expect(await store.nextFinalizationAtOrAfter(601)).toBeUndefined();
      };
      await check();
      await store.close();
      store = await subject.open();
      await check();
      await append(store, { finals: [final(601)] });
      expect(store.head).toBe(601);
      await store.close();
    });

    it('takes heights one after the other: skips a repetition, refuses a gap and a conflict', async () => {
      const subject = await create(SIZES);
      let store = await subject.open();
      await refusal(() => store.appendTurn({ finals: [final(2)] }), 'STORE_GAP');
      await append(store, { finals: [final(0), final(1), final(2), final(2)] });
      await append(store, { finals: [final(1), final(2), final(3)] });
      expect(store.head).toBe(3);
      await refusal(() => store.appendTurn({ finals: [final(5)] }), 'STORE_GAP');
      const other = { ...final(3), hash: name(9, 3) };
      const error = await refusal(() => store.appendTurn({ finals: [other] }), 'STORE_CONFLICT');
      expect(error.data).toMatchObject({ height: 3, held: name(BLOCK, 3), given: name(9, 3) });
      await store.close();
      store = await subject.open();
      await refusal(() => store.appendTurn({ finals: [other] }), 'STORE_CONFLICT');
      await append(store, { finals: [final(4)] });
      expect(store.head).toBe(4);
      await store.close();
    });

    it('tells a conflict from a repetition among the last blocks, as many as it keeps in mind', async () => {
      const store = await (await create(SIZES)).open();
      await append(store, { finals: Array.from({ length: RECENT_BLOCKS + 1 }, (_, i) => final(i + 1)) });
      const other = (height: number) => ({ finals: [{ ...final(height), hash: name(9, height) }] });
      await refusal(() => store.appendTurn(other(2)), 'STORE_CONFLICT');
      expect(store.appendTurn(other(1))).toEqual([]);
      await store.sync();
      expect((await store.readBlock(1))?.hash).toBe(final(1).hash);
      await store.close();
    });

    it('replays consensus records, those alone, from the last checkpoint on', async () => {
      const subject = await create(SIZES);
      let store = await subject.open();
      await append(store, { consensus: [record(1, 1), record(2, 2)], batches: [batch(1)], finals: [final(1)] });
      const [, position] = await append(store, { consensus: [record(3, 3), record(MAX_CONSENSUS_KIND, 4)] });
      await append(store, { consensus: [record(5, 5)], batches: [batch(2)] });
      const payloads = async () => (await collect(store.replayConsensus())).map((one) => one.payload[0]);
      expect(await payloads()).toEqual([1, 2, 3, 4, 5]);
      await store.checkpoint(position!);
      expect(await payloads()).toEqual([4, 5]);
      await store.close();
      store = await subject.open();
      expect(await payloads()).toEqual([4, 5]);
      const [unsynced] = store.appendTurn({ consensus: [record(6)] });
      await rejection(store.checkpoint(unsynced!), 'STORE_INPUT');
      await rejection(store.checkpoint(position! - 1), 'STORE_INPUT');
      await store.close();
    });

    it('keeps meta values', async () => {
      const subject = await create(SIZES);
      let store = await subject.open();
      await store.setMeta('cursor/ü', Uint8Array.of(1));
      await store.setMeta('gone', Uint8Array.of(2));
      await store.setMeta('gone', undefined);
      await store.close();
      store = await subject.open();
      expect(await store.getMeta('cursor/ü')).toEqual(Uint8Array.of(1));
      expect(await store.getMeta('gone')).toBeUndefined();
      await store.setMeta('k'.repeat(MAX_META_KEY_BYTES), new Uint8Array(MAX_META_BYTES));
      await rejection(store.setMeta('big', new Uint8Array(MAX_META_BYTES + 1)), 'STORE_INPUT');
      await rejection(store.setMeta('k'.repeat(MAX_META_KEY_BYTES + 1), Uint8Array.of(1)), 'STORE_INPUT');
      await rejection(store.getMeta(''), 'STORE_INPUT');
      await store.close();
    });

    it('finds transactions in memory, once written, and after a reopening; of two places the first comes first', async () => {
      const subject = await create(SIZES);
      let store = await subject.open();
      const hashes = (...numbers: number[]) => Buffer.concat(numbers.map(prefixOf));
      await store.indexTransactions(0, hashes(1, 2));
      await store.indexTransactions(3, hashes(1, 3));
      await store.indexTransactions(4, hashes(6, 6));
      await store.completeTransactions(1);
      await store.indexTransactions(0, hashes(2, 4));
      await rejection(store.indexTransactions(0, new Uint8Array(7)), 'STORE_INPUT');
      await rejection(store.completeTransactions(3), 'STORE_INPUT');
      await rejection(store.transactionCandidates(new Uint8Array(31)), 'STORE_INPUT');
      await store.completeTransactions(2);
      await store.completeTransactions(3);
      const check = async () => {
        expect(store.transactionsIndexedThrough).toBe(3);
        expect(await store.transactionCandidates(hashOf(1))).toEqual([place(1, 0, 0), place(1, 3, 0)]);
        expect(await store.transactionCandidates(hashOf(2))).toEqual([place(1, 0, 1), place(2, 0, 0)]);
        expect(await store.transactionCandidates(hashOf(3))).toEqual([place(1, 3, 1)]);
        expect(await store.transactionCandidates(hashOf(4))).toEqual([place(2, 0, 1)]);
        expect(await store.transactionCandidates(hashOf(6))).toEqual([place(1, 4, 0), place(1, 4, 1)]);
        expect(await store.transactionCandidates(hashOf(5))).toEqual([]);
      };
      await check();
      await store.close();
      store = await subject.open();
      await check();
      // One that begins like another is a candidate for it too: the store cannot tell.
      const alike = hashOf(3).slice();
      alike[8]! ^= 1;
      expect(await store.transactionCandidates(alike)).toEqual([place(1, 3, 1)]);
      alike[7]! ^= 1;
      expect(await store.transactionCandidates(alike)).toEqual([]);
      await store.close();
    });

    it('goes on in a new run of transactions when one is full, and finds those of all runs', async () => {
      const subject = await create(SIZES);
      const store = await subject.open();
      const perBatch = 16_384;
      const batchesNeeded = TRANSACTION_RUN_ENTRIES / perBatch + 2;
      for (let index = 0; index < batchesNeeded; index++) {
        const prefixes = new Uint8Array(HASH_PREFIX_BYTES * perBatch);
        for (let i = 0; i < perBatch; i++) prefixes.set(prefixOf(index * perBatch + i), HASH_PREFIX_BYTES * i);
        await store.indexTransactions(index, prefixes);
      }
      await store.completeTransactions(1);
      for (const number of [
        0,
        perBatch - 1,
        TRANSACTION_RUN_ENTRIES - 1,
        TRANSACTION_RUN_ENTRIES,
        batchesNeeded * perBatch - 1,
      ]) {
        const [batchIndex, index] = [Math.floor(number / perBatch), number % perBatch];
        expect(await store.transactionCandidates(hashOf(number))).toEqual([place(1, batchIndex, index)]);
      }
      await rejection(
        store.indexTransactions(0, new Uint8Array(HASH_PREFIX_BYTES * (TRANSACTION_RUN_ENTRIES + 1))),
        'STORE_INPUT',
      );
      await rejection(store.indexTransactions(MAX_BATCHES_IN_INDEX, prefixOf(1)), 'STORE_INPUT');
      await store.indexTransactions(MAX_BATCHES_IN_INDEX - 1, prefixOf(1));
      expect(await store.transactionCandidates(hashOf(1))).toContainEqual(place(2, MAX_BATCHES_IN_INDEX - 1, 0));
      await store.close();
    });

    it('returns a bounded number of places of one hash, and forgets those of pruned blocks run by run', async () => {
      const subject = await create(SIZES);
      let store = await subject.open();
      for (let height = 1; height <= MAX_TRANSACTION_CANDIDATES + 1; height++) {
        await store.indexTransactions(0, prefixOf(1));
        await store.completeTransactions(height);
      }
      const before = await store.transactionCandidates(hashOf(1));
      expect(before.map(({ height }) => height)).toEqual(
        Array.from({ length: MAX_TRANSACTION_CANDIDATES }, (_, i) => i + 1),
      );
      await store.close();
      store = await subject.open();
      const next = MAX_TRANSACTION_CANDIDATES + 2;
      await store.indexTransactions(0, prefixOf(1));
      await store.completeTransactions(next);
      await store.pruneBodiesBefore(next - 1, []);
      expect(await store.transactionCandidates(hashOf(1))).toHaveLength(MAX_TRANSACTION_CANDIDATES);
      await store.pruneBodiesBefore(next, []);
      expect(await store.transactionCandidates(hashOf(1))).toEqual([place(next, 0, 0)]);
      await store.close();
    });

    it('prunes bodies of old blocks, and never one that a kept block orders, nor a block or certificate', async () => {
      const subject = await create(SIZES);
      let store = await subject.open();
      const [first] = await append(store, { consensus: [record(1, 1)] });
      // The batch of each block stands five turns before it.
      for (let i = 1; i <= 40; i++) {
        await append(store, { batches: [batch(i)], finals: i > 5 ? [final(i - 5, [i - 5])] : [] });
      }
      await store.pruneBodiesBefore(30, []);
      expect(await store.readBatch(name(BATCH, 1))).toEqual(batch(1).bytes);
      expect(first).toBeDefined();
      const [position] = await append(store, { consensus: [record(2, 2)] });
      await store.checkpoint(position!);
      await store.pruneBodiesBefore(10, [name(BATCH, 3)]);
      expect(store.hasBatch(name(BATCH, 3))).toBe(true);
      // One to be kept that nobody has is no reason to keep others.
      await store.pruneBodiesBefore(30, [name(BATCH, 999)]);
      const check = async () => {
        for (const gone of [1, 10, 20]) {
          expect(store.hasBatch(name(BATCH, gone))).toBe(false);
          expect(await store.readBatch(name(BATCH, gone))).toBeUndefined();
        }
        for (let kept = 30; kept <= 40; kept++) {
          expect(store.hasBatch(name(BATCH, kept))).toBe(true);
          expect(await store.readBatch(name(BATCH, kept))).toEqual(batch(kept).bytes);
        }
        for (let height = 1; height <= 35; height++) expect(await store.readBlock(height)).toEqual(stored(height));
        expect((await collect(store.replayConsensus())).map((one) => one.payload[0])).toEqual([2]);
      };
      await check();
      await store.close();
      store = await subject.open();
      await check();
      // What was pruned can be stored again.
      await append(store, { batches: [batch(10)] });
      expect(await store.readBatch(name(BATCH, 10))).toEqual(batch(10).bytes);
      await store.close();
    });

    it('refuses input that is not well formed, and keeps nothing of that turn', async () => {
      const store = await (await create(SIZES)).open();
      for (const kind of [0, MAX_CONSENSUS_KIND + 1, 255]) {
        await refusal(() => store.appendTurn({ consensus: [record(kind)], batches: [batch(1)] }), 'STORE_INPUT');
      }
      await refusal(
        () => store.appendTurn({ batches: [batch(1), { digest: '0x12', bytes: Uint8Array.of() }] }),
        'STORE_INPUT',
      );
      await refusal(() => store.appendTurn({ finals: [{ ...final(1), hash: '0x12' }] }), 'STORE_INPUT');
      await store.sync();
      expect(store.hasBatch(name(BATCH, 1))).toBe(false);
      await append(store, { batches: [batch(1)], finals: [final(1)] });
      expect(store.head).toBe(1);
      await store.close();
    });
  });
}
