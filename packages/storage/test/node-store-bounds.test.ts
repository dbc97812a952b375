/** The node store beyond what it keeps in memory or writes in one go, and over a log or a key-value store that fails. */

import { HASH_PREFIX_BYTES } from '@squad/types';
import { describe, expect, it } from 'vitest';
import {
  createNodeStore,
  INDEX_FLUSH_ENTRIES,
  type KeyValueStore,
  type Log,
  MAX_UNINDEXED_ENTRIES,
  MemoryKeyValueStore,
  MemoryLog,
  type NodeStore,
  openMemoryNodeStore,
  openNodeStore,
  RECENT_BATCHES,
  TRANSACTION_RUN_BLOCKS,
} from '../src/index.ts';
import { batch, final, hashOf, prefixOf } from './node-store-compliance.ts';
import { collect, name, record, rejection, temporaryFolder } from './support.ts';

/** Another port in place of some of one's methods. */
function over<T extends object>(port: T, replaced: Partial<T>): T {
  return new Proxy(port, {
    get: (target, property) => {
      const value: unknown = Reflect.get(property in replaced ? replaced : target, property, target);
      return typeof value === 'function' && !(property in replaced) ? value.bind(target) : value;
    },
  });
}

const batches = (from: number, count: number) => Array.from({ length: count }, (_, i) => batch(from + i, 1));
/** Resolves when everything has run that needs nothing from outside. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

async function store(turn: NodeStore, ...turns: Parameters<NodeStore['appendTurn']>[0][]): Promise<number[]> {
  const positions = turns.flatMap((one) => turn.appendTurn(one));
  await turn.sync();
  return positions;
}

describe('a node store in memory', () => {
  it('needs no parts, and goes on with those that it is handed', async () => {
    const first = await openMemoryNodeStore();
    await store(first, { batches: [batch(1)] });
    expect(first.hasBatch(batch(1).digest)).toBe(true);
    await first.close();
    const [log, keyValueStore] = [new MemoryLog(), new MemoryKeyValueStore()];
    const second = await openMemoryNodeStore({ log, keyValueStore });
    await store(second, { batches: [batch(2)] });
    const third = await openMemoryNodeStore({ log: log.crash(), keyValueStore: keyValueStore.crash() });
    expect(await third.readBatch(batch(2).digest)).toEqual(batch(2).bytes);
    expect(third.hasBatch(batch(1).digest)).toBe(false);
  });
});

describe('the batches that a node store keeps in memory', () => {
  it('are those that it was given, or copies where they hold much more than themselves', async () => {
    const [{ digest: first }, { digest: second }] = [batch(1), batch(2)];
    const store = await openMemoryNodeStore();
    const received = new Uint8Array(100_000).fill(1);
    const [most, little] = [received.subarray(0, 90_000), received.subarray(0, 80_000)];
    store.appendTurn({
      batches: [
        { digest: first, bytes: most },
        { digest: second, bytes: little },
      ],
    });
    await store.sync();
    expect((await store.readBatch(first))!.buffer).toBe(received.buffer);
    const copy = (await store.readBatch(second))!;
    expect(copy).toEqual(little);
    expect(copy.buffer.byteLength).toBe(80_000);
    await store.close();
  });
});

describe('the index of a node store', () => {
  it('finds a batch that is older than those whose places are in memory', async () => {
    const options = { directory: await temporaryFolder(), networkId: new Uint8Array(32), batchCacheBytes: 0 };
    const subject = await openNodeStore(options);
    for (let from = 0; from <= RECENT_BATCHES; from += 8192) {
      await store(subject, { batches: batches(from, Math.min(8192, RECENT_BATCHES + 1 - from)) });
    }
    const check = async (one: NodeStore) => {
      expect([0, 1, RECENT_BATCHES].map((i) => one.hasBatch(batch(i).digest))).toEqual([false, true, true]);
      for (const i of [0, 1, RECENT_BATCHES]) expect(await one.readBatch(batch(i).digest)).toEqual(batch(i, 1).bytes);
      const many = [RECENT_BATCHES, 0, RECENT_BATCHES + 1];
      const expected = [batch(RECENT_BATCHES, 1).bytes, batch(0, 1).bytes, undefined];
      expect(await one.readBatches(many.map((i) => batch(i).digest))).toEqual(expected);
    };
    await check(subject);
    await subject.close();
    const again = await openNodeStore(options);
    await check(again);
    await again.close();
  }, 180_000);

  it('forgets what was pruned, in as many writes as it takes, and no more than that', async () => {
    const keyValueStore = new MemoryKeyValueStore();
    const subject = await createNodeStore({ log: new MemoryLog({ segmentBytes: 4096 }), keyValueStore });
    const count = 4500;
    for (let i = 1; i <= count; i += 100) {
      const finals = Array.from({ length: 100 }, (_, j) => final(i + j, [i + j]));
      subject.appendTurn({ batches: batches(i, 100), finals });
    }
    const [position] = await store(subject, { consensus: [record(1)] });
    await subject.checkpoint(position!);
    await subject.pruneBodiesBefore(count - 9, []);
    const kept = Array.from({ length: count }, (_, i) => i + 1).filter((i) => subject.hasBatch(batch(i).digest));
    expect(kept.length).toBeGreaterThanOrEqual(10);
    expect(kept.length).toBeLessThan(count - 2 * 2048);
    // Batch, place of a batch, and lowest place of a block's bodies.
    const entries = async (prefix: number) =>
      (await collect(keyValueStore.range({ gte: Uint8Array.of(prefix), lt: Uint8Array.of(prefix + 1) }))).length;
    expect([await entries(2), await entries(3), await entries(9)]).toEqual([kept.length, kept.length, 10]);
    await subject.close();
  });

  it('keeps a batch that is stored once more while its pruned copy is forgotten', async () => {
    const inner = new MemoryKeyValueStore();
    let hook = async () => {};
    const keyValueStore = over<KeyValueStore>(inner, {
      getMany: async (keys) => {
        const values = await inner.getMany(keys);
        await hook();
        return values;
      },
    });
    const subject = await createNodeStore({ log: new MemoryLog({ segmentBytes: 300 }), keyValueStore });
    for (let i = 1; i <= 10; i++) await store(subject, { batches: [batch(i, 100)], finals: [final(i, [i])] });
    const [position] = await store(subject, { consensus: [record(1)] });
    await subject.checkpoint(position!);
    hook = async () => {
      hook = async () => {};
      expect(subject.hasBatch(batch(1).digest)).toBe(false);
      await store(subject, { batches: [batch(1, 100)] });
    };
    await subject.pruneBodiesBefore(9, []);
    expect([1, 2].map((i) => subject.hasBatch(batch(i).digest))).toEqual([true, false]);
    expect(await subject.readBatch(batch(1).digest)).toEqual(batch(1, 100).bytes);
    await subject.close();
  });

  it('that names another place for a batch is damaged, and what stands there is not given out', async () => {
    const [log, keyValueStore] = [new MemoryLog(), new MemoryKeyValueStore()];
    const first = await createNodeStore({ log, keyValueStore });
    const [consensus] = await store(first, { consensus: [record(1, 1)], batches: [batch(1)] });
    const other = (await collect(log.replay(0))).at(-1)!.position;
    await first.close();
    const index = keyValueStore.reopen();
    for (const [i, position] of [consensus!, other].entries()) {
      const value = Buffer.alloc(8);
      value.writeBigUInt64BE(BigInt(position));
      await index.write([[Buffer.concat([Uint8Array.of(2), Buffer.from(name(1, 7 + i).slice(2), 'hex')]), value]]);
    }
    const subject = await createNodeStore({ log: log.reopen(), keyValueStore: index });
    for (const i of [7, 8]) await rejection(subject.readBatch(name(1, i)), 'KEY_VALUE_CORRUPT');
    expect(await subject.readBatch(name(1, 1))).toEqual(batch(1).bytes);
    await subject.close();
  });

  it.each([
    ['lets a sync wait while far too many entries are not written', MAX_UNINDEXED_ENTRIES, ['written', 'synced']],
    ['does not let it wait for fewer', MAX_UNINDEXED_ENTRIES - 1, ['synced', 'written']],
  ])('%s', async (_, count, order) => {
    const inner = new MemoryKeyValueStore();
    const seen: string[] = [];
    const keyValueStore = over<KeyValueStore>(inner, {
      write: async (entries, options) => {
        await settled();
        await inner.write(entries, options);
        seen.push('written');
      },
    });
    const subject = await createNodeStore({ log: new MemoryLog(), keyValueStore });
    await store(subject, { batches: batches(0, count) });
    seen.push('synced');
    await subject.close();
    expect(seen.slice(0, 2)).toEqual(order);
  });

  it('whose writing fails is told by the next sync', async () => {
    const inner = new MemoryKeyValueStore();
    let failures = 1;
    const keyValueStore = over<KeyValueStore>(inner, {
      write: async (entries, options) => {
        if (failures-- > 0) throw new Error('no index today');
        return inner.write(entries, options);
      },
    });
    const subject = await createNodeStore({ log: new MemoryLog(), keyValueStore });
    await store(subject, { batches: batches(0, INDEX_FLUSH_ENTRIES) });
    await settled();
    await expect(subject.sync()).rejects.toThrow('no index today');
    await expect(subject.close()).rejects.toThrow('no index today');
  });
});

describe('the log of a node store', () => {
  it('that ends before the last checkpoint is short, though the index had not come that far', async () => {
    const [log, keyValueStore] = [new MemoryLog(), new MemoryKeyValueStore()];
    const subject = await createNodeStore({ log, keyValueStore });
    const [position] = await store(subject, { consensus: [record(1, 1)] });
    await subject.checkpoint(position!);
    const lost = { log: new MemoryLog(), keyValueStore: keyValueStore.reopen() };
    const { data } = await rejection(createNodeStore(lost), 'STORE_LOG_SHORT');
    expect(data).toEqual({ logEnd: 0, indexedThrough: position });
  });

  it('may lose a batch to pruning while it is looked up: it is then not there; any other failure is one', async () => {
    const log = new MemoryLog({ segmentBytes: 300 });
    let read: Log['read'] = (position) => log.read(position);
    const subject = await createNodeStore({
      log: over<Log>(log, { read: (position) => read(position) }),
      keyValueStore: new MemoryKeyValueStore(),
      batchCacheBytes: 0,
    });
    for (let i = 1; i <= 10; i++) await store(subject, { batches: [batch(i, 100)] });
    read = async () => {
      throw new Error('no disk today');
    };
    await expect(subject.readBatch(batch(1).digest)).rejects.toThrow('no disk today');
    read = async () => log.read(log.end);
    await rejection(subject.readBatch(batch(1).digest), 'LOG_POSITION');
    read = async (position) => {
      await log.pruneBefore(log.end);
      return log.read(position);
    };
    expect(await subject.readBatch(batch(1).digest)).toBeUndefined();
    await subject.close();
  });
});

describe('the transaction index of a node store', () => {
  it.each([
    ['is not written before so many blocks', TRANSACTION_RUN_BLOCKS, 0],
    [
      'is written after so many blocks, though they hold nothing',
      TRANSACTION_RUN_BLOCKS + 1,
      TRANSACTION_RUN_BLOCKS + 1,
    ],
  ])('%s', async (_, blocks, through) => {
    const keyValueStore = new MemoryKeyValueStore();
    const subject = await createNodeStore({ log: new MemoryLog(), keyValueStore });
    for (let height = 1; height <= blocks; height++) await subject.completeTransactions(height);
    await settled();
    // Killed, not closed.
    const again = await createNodeStore({ log: new MemoryLog(), keyValueStore: keyValueStore.reopen() });
    expect(again.transactionsIndexedThrough).toBe(through);
  });

  it('finds the transactions of a run that could not be written, and tells who comes to the end of the next one', async () => {
    const inner = new MemoryKeyValueStore();
    const keyValueStore = over<KeyValueStore>(inner, { write: () => Promise.reject(new Error('no index today')) });
    const subject = await createNodeStore({ log: new MemoryLog(), keyValueStore });
    await subject.indexTransactions(0, prefixOf(1));
    const complete = async (blocks: number) => {
      for (let i = 0; i < blocks; i++) await subject.completeTransactions(subject.transactionsIndexedThrough + 1);
    };
    await complete(TRANSACTION_RUN_BLOCKS + 1);
    await settled();
    expect(await subject.transactionCandidates(hashOf(1))).toEqual([{ height: 1, batchIndex: 0, transactionIndex: 0 }]);
    await complete(TRANSACTION_RUN_BLOCKS);
    await expect(complete(1)).rejects.toThrow('no index today');
    expect(await subject.transactionCandidates(hashOf(1))).toHaveLength(1);
    await expect(subject.close()).rejects.toThrow('no index today');
  });

  it('finds everything while a full run is written a little at a time, and after a kill in the middle of it', async () => {
    const keyValueStore = new MemoryKeyValueStore();
    const prefixes = new Uint8Array(HASH_PREFIX_BYTES * 60_000);
    for (let i = 0; i < 60_000; i++) prefixes.set(prefixOf(i), HASH_PREFIX_BYTES * i);
    const heights = async (store: NodeStore, i: number) =>
      (await store.transactionCandidates(hashOf(i))).map(({ height }) => height);
    // Five blocks are more than a run: the first time killed while it is written, the second time closed.
    const filled = async (keyValue: KeyValueStore) => {
      const subject = await createNodeStore({ log: new MemoryLog(), keyValueStore: keyValue });
      expect(subject.transactionsIndexedThrough).toBe(0);
      for (let height = 1; height <= 5; height++) {
        await subject.indexTransactions(0, prefixes);
        await subject.completeTransactions(height);
      }
      for (const i of [0, 1, 777, 59_999]) expect(await heights(subject, i)).toEqual([1, 2, 3, 4, 5]);
      return subject;
    };
    await filled(keyValueStore);
    const second = keyValueStore.reopen();
    await (await filled(second)).close();
    const again = await createNodeStore({ log: new MemoryLog(), keyValueStore: second.reopen() });
    expect(again.transactionsIndexedThrough).toBe(5);
    for (const i of [0, 1, 777, 59_999]) expect(await heights(again, i)).toEqual([1, 2, 3, 4, 5]);
  });

  it('forgets a pruned run of very many buckets whole', async () => {
    const count = 10_000;
    const prefixes = new Uint8Array(HASH_PREFIX_BYTES * count);
    for (let i = 0; i < count; i++) prefixes.set(prefixOf(i), HASH_PREFIX_BYTES * i);
    const keyValueStore = new MemoryKeyValueStore();
    const first = await createNodeStore({ log: new MemoryLog(), keyValueStore });
    await first.indexTransactions(0, prefixes);
    await first.completeTransactions(1);
    await first.close();
    const subject = await createNodeStore({ log: new MemoryLog(), keyValueStore: keyValueStore.reopen() });
    const found = async () => {
      const places = await Promise.all(
        Array.from({ length: count }, (_, i) => subject.transactionCandidates(hashOf(i))),
      );
      return places.flat().length;
    };
    expect(await found()).toBe(count);
    await subject.pruneBodiesBefore(2, []);
    expect(await found()).toBe(0);
    await subject.close();
  });
});
