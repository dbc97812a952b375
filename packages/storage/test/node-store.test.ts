/** The node store after crashes, and on data folders that are not what they should be. */

import { mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SquadError, toHex } from '@squad/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createNodeStore,
  MemoryKeyValueStore,
  MemoryLog,
  type NodeStore,
  openNodeStore,
  STORE_SCHEMA_VERSION,
} from '../src/index.ts';
import { batch, final, hashOf, prefixOf } from './node-store-compliance.ts';
import { collect, copyOfFolder, name, record, rejection, temporaryFolder } from './support.ts';

const networkId = new Uint8Array(32).fill(5);
const open = (directory: string, segmentBytes = 4096) => openNodeStore({ directory, networkId, segmentBytes });

/** A folder with some of everything in it. */
async function filledFolder(): Promise<string> {
  const directory = await temporaryFolder();
  const store = await open(directory);
  for (let i = 1; i <= 10; i++) {
    const [position] = store.appendTurn({ consensus: [record(1, i)], batches: [batch(i)], finals: [final(i, [i])] });
    await store.sync();
    if (i === 5) await store.checkpoint(position!);
  }
  await store.setMeta('cursor', Uint8Array.of(9));
  await store.close();
  return directory;
}

async function expectFilled(store: NodeStore): Promise<void> {
  expect(store.head).toBe(10);
  for (let i = 1; i <= 10; i++) {
    expect(await store.readBatch(batch(i).digest)).toEqual(batch(i).bytes);
    expect((await store.readBlock(i))?.hash).toBe(final(i).hash);
    expect(await store.heightOf(final(i).hash)).toBe(i);
  }
}

describe('a node store after a crash', () => {
  it('begins again with the blocks whose transactions were not written, wherever the crash was', async () => {
    const index = async (store: NodeStore, through: number) => {
      for (let height = store.transactionsIndexedThrough + 1; height <= through; height++) {
        for (const batchIndex of [0, 1]) await store.indexTransactions(batchIndex, prefixOf(2 * height + batchIndex));
        await store.completeTransactions(height);
      }
    };
    for (let keptWrites = 0; keptWrites < 5; keptWrites++) {
      let [log, keyValueStore] = [new MemoryLog(), new MemoryKeyValueStore()];
      for (const through of [3, 6, 9]) {
        const store = await createNodeStore({ log, keyValueStore });
        await index(store, through);
        if (through < 9) await store.close();
        log = log.crash(9);
        keyValueStore = keyValueStore.crash(keptWrites);
      }
      const store = await createNodeStore({ log, keyValueStore });
      expect(store.transactionsIndexedThrough).toBeLessThanOrEqual(6);
      await index(store, 9);
      for (let height = 1; height <= 9; height++) {
        const [first] = await store.transactionCandidates(hashOf(2 * height + 1));
        expect(first).toEqual({ height, batchIndex: 1, transactionIndex: 0 });
      }
      await store.close();
    }
  });

  it('holds all that was synced, and replays from a checkpoint on without gaps', async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ type: fc.constant('turn' as const), batches: fc.nat(3), finals: fc.nat(2) }),
      },
      { weight: 3, arbitrary: fc.record({ type: fc.constantFrom<'sync' | 'checkpoint'>('sync', 'checkpoint') }) },
      {
        weight: 2,
        arbitrary: fc.record({ type: fc.constant('crash' as const), keptFrames: fc.nat(3), keptWrites: fc.nat(5) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        let log = new MemoryLog({ segmentBytes: 3000 });
        let keyValueStore = new MemoryKeyValueStore();
        let store = await createNodeStore({ log, keyValueStore, batchCacheBytes: 2000 });
        const counts = { batches: 0, head: 0, consensus: 0 };
        let durable = { ...counts };
        let lastPosition: number | undefined;
        let synced: number | undefined;
        for (const one of steps) {
          if (one.type === 'turn') {
            const batches = Array.from({ length: one.batches }, () => batch(++counts.batches, 500));
            const finals = Array.from({ length: one.finals }, () => final(++counts.head));
            [lastPosition] = store.appendTurn({ consensus: [record(1, ++counts.consensus)], batches, finals });
          } else if (one.type === 'sync') {
            await store.sync();
            durable = { ...counts };
            synced = lastPosition;
          } else if (one.type === 'checkpoint') {
            if (synced !== undefined) await store.checkpoint(synced);
          } else if ('keptFrames' in one) {
            log = log.crash(one.keptFrames);
            keyValueStore = keyValueStore.crash(one.keptWrites);
            store = await createNodeStore({ log, keyValueStore, batchCacheBytes: 2000 });
            const all = await collect(log.replay(0));
            counts.consensus = all.filter(({ kind }) => kind === 1).length;
            counts.head = store.head;
            while (counts.batches > 0 && !store.hasBatch(batch(counts.batches).digest)) counts.batches--;
            expect(counts.consensus).toBeGreaterThanOrEqual(durable.consensus);
            expect(counts.head).toBeGreaterThanOrEqual(durable.head);
            expect(counts.batches).toBeGreaterThanOrEqual(durable.batches);
            durable = { ...counts };
            synced = undefined;
            lastPosition = undefined;
          }
          expect(store.head).toBe(durable.head);
          for (let i = 1; i <= durable.batches; i++)
            expect(await store.readBatch(batch(i).digest)).toEqual(batch(i, 500).bytes);
          for (let height = 1; height <= durable.head; height++)
            expect(await store.heightOf(final(height).hash)).toBe(height);
          const replayed = (await collect(store.replayConsensus())).map(({ payload }) => payload[0]);
          expect(replayed).toEqual(
            Array.from({ length: replayed.length }, (_, i) => counts.consensus - replayed.length + 1 + i),
          );
        }
      }),
      { numRuns: 100 },
    );
  });

  it('never shows what a failing disk did not take', async () => {
    const directory = await filledFolder();
    const failures: string[] = [];
    const store = await openNodeStore({
      directory,
      networkId,
      onFailure: ({ code }) => failures.push(code),
      calls: {
        write: async (handle, buffers, offset) => (await handle.writev(buffers as Uint8Array[], offset)).bytesWritten,
        sync: () => Promise.reject(Object.assign(new Error('io'), { code: 'EIO' })),
      },
    });
    store.appendTurn({ batches: [batch(11)], finals: [final(11, [11])] });
    await rejection(store.sync(), 'LOG_SYNC_FAILED');
    expect(failures).toEqual(['LOG_SYNC_FAILED']);
    expect([store.head, store.hasBatch(batch(11).digest)]).toEqual([10, false]);
    expect(await store.readBatch(batch(11).digest)).toBeUndefined();
    await rejection(store.sync(), 'LOG_SYNC_FAILED');
    await rejection(store.close(), 'LOG_SYNC_FAILED');
    // The bytes were written and outlived the process: the next start finds and syncs them.
    const again = await open(directory);
    expect(again.head).toBe(11);
    await again.close();
  });

  it('rebuilds a lost index from the log', async () => {
    const directory = await filledFolder();
    await rm(join(directory, 'index'), { recursive: true });
    const store = await open(directory);
    await expectFilled(store);
    expect(await collect(store.replayConsensus())).toHaveLength(10);
    await store.close();
  });

  it('rebuilds blocks without certificates as such', async () => {
    const directory = await temporaryFolder();
    const store = await open(directory);
    store.appendTurn({ finals: [1, 2, 3].map((height) => final(height, [], height === 2)) });
    await store.close();
    await rm(join(directory, 'index'), { recursive: true });
    const again = await open(directory);
    for (const height of [1, 2, 3]) {
      const { hash, block, certificate } = final(height, [], height === 2);
      expect(await again.readBlock(height)).toEqual({ height, hash, block, certificate });
    }
    expect((await again.nextFinalizationAtOrAfter(1))?.height).toBe(2);
    await again.close();
  });

  it('stops if the index is lost and the log was pruned', async () => {
    const directory = await filledFolder();
    const store = await open(directory);
    await store.pruneBodiesBefore(9, []);
    await store.close();
    await rm(join(directory, 'index'), { recursive: true });
    await rejection(open(directory), 'STORE_INDEX_LOST');
  });

  it('stops if the end of the log is missing that was durable', async () => {
    const directory = await filledFolder();
    const files = (await readdir(join(directory, 'log'))).filter((file) => file.endsWith('.log')).sort();
    await rm(join(directory, 'log', files.at(-1)!));
    await rejection(open(directory), 'STORE_LOG_SHORT');
  });

  it('stops if there is no log at all, whatever the index says of it, and does not begin a new one', async () => {
    const directory = await filledFolder();
    await rm(join(directory, 'log'), { recursive: true });
    await rejection(open(directory), 'STORE_LOG_LOST');
    // As after a kill before the index was first written.
    await rm(join(directory, 'index'), { recursive: true });
    await rejection(open(directory), 'STORE_LOG_LOST');
  });
});

describe('a data folder', () => {
  it('of another network or a newer version is refused, and left as it is', async () => {
    const directory = await filledFolder();
    const error = await rejection(openNodeStore({ directory, networkId: new Uint8Array(32) }), 'STORE_NETWORK');
    expect(error.message).toContain(toHex(networkId));
    const file = join(directory, 'STORE.json');
    const identity = await readFile(file, 'utf8');
    const newer = { ...(JSON.parse(identity) as object), schemaVersion: STORE_SCHEMA_VERSION + 1 };
    await writeFile(file, JSON.stringify(newer));
    const versionError = await rejection(open(directory), 'STORE_VERSION');
    expect(versionError.data).toMatchObject({ found: STORE_SCHEMA_VERSION + 1, supported: STORE_SCHEMA_VERSION });
    for (const networkOf of [{}, { networkId: 5 }]) {
      await writeFile(file, JSON.stringify({ schemaVersion: STORE_SCHEMA_VERSION, ...networkOf }));
      expect((await rejection(open(directory), 'STORE_IDENTITY')).data.fault).toBe('has no "networkId"');
    }
    await rm(file);
    await rejection(open(directory), 'STORE_IDENTITY');
    await writeFile(file, identity);
    const store = await open(directory);
    await expectFilled(store);
    await store.close();
  });

  it('that is in use is refused, and can be had afterwards', async () => {
    const directory = await filledFolder();
    const store = await open(directory);
    await rejection(open(directory), 'FOLDER_LOCKED');
    await rm(join(directory, 'log', 'LOCK'));
    await store.close();
    const again = await open(directory);
    await expectFilled(again);
    await again.close();
  });

  const garbage = Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 167 + 13) & 255));
  const contents: [string, (bytes: Buffer) => Buffer | undefined][] = [
    ['empty', () => Buffer.alloc(0)],
    ['one byte', () => Buffer.of(0x7b)],
    ['zeros', () => Buffer.alloc(4096)],
    ['ones', () => Buffer.alloc(100, 0xff)],
    ['garbage', () => garbage],
    ['JSON null', () => Buffer.from('null')],
    ['JSON of another shape', () => Buffer.from('{"schemaVersion":-1,"networkId":7,"pid":{}}')],
    ['its first half', (bytes) => bytes.subarray(0, bytes.length >> 1)],
    ['itself twice', (bytes) => Buffer.concat([bytes, bytes])],
    ['itself with garbage after it', (bytes) => Buffer.concat([bytes, garbage])],
    ['itself with a wrong beginning', (bytes) => Buffer.concat([Buffer.from('WRONG!!!'), bytes.subarray(8)])],
    ['a folder', () => undefined],
  ];
  const files: [string, (names: string[]) => string | undefined][] = [
    ['STORE.json', () => 'STORE.json'],
    ['the lock', () => 'log/LOCK'],
    ['the first log file', (names) => names.find((file) => file.endsWith('.log') && file.startsWith('log/'))],
    ['the last log file', (names) => names.filter((file) => file.endsWith('.log') && file.startsWith('log/')).at(-1)],
    ['a stray log file', () => 'log/0000000099999999.log'],
    ['the index CURRENT', () => 'index/CURRENT'],
    ['the index manifest', (names) => names.find((file) => file.startsWith('index/MANIFEST'))],
    ['the index journal', (names) => names.filter((file) => /index\/\d+\.log$/.test(file)).at(-1)],
  ];
  it.each(files)('with any wrong content in place of %s opens whole, or says what to do', async (_, choose) => {
    const origin = await filledFolder();
    const names = ((await readdir(origin, { recursive: true })) as string[]).sort();
    const file = choose(names)!;
    expect(file).toBeDefined();
    const outcomes: string[] = [];
    for (const [what, change] of contents) {
      // LevelDB ends the process by an assertion on a journal that holds one entry twice: no error to be had.
      if (what === 'itself twice' && file.startsWith('index/') && file.endsWith('.log')) continue;
      const directory = await copyOfFolder(origin);
      const path = join(directory, file);
      const bytes = await readFile(path).catch(() => Buffer.alloc(0));
      const changed = change(bytes);
      await rm(path, { force: true });
      if (changed === undefined) await mkdir(path);
      else await writeFile(path, changed);
      outcomes.push(`${what}: ${await outcomeOf(directory)}`);
    }
    // What opens must be whole, so whatever is wrong with the truth itself may not open.
    if (file === 'STORE.json') expect(outcomes.filter((one) => one.endsWith('opened'))).toEqual([]);
    expect(outcomes.length).toBeGreaterThanOrEqual(contents.length - 1);
  });

  async function outcomeOf(directory: string): Promise<string> {
    let store: NodeStore;
    try {
      store = await open(directory);
    } catch (error) {
      expect(error).toBeInstanceOf(SquadError);
      const { code, message, remedy } = error as SquadError;
      expect([code.length, message.length, remedy.length].every((length) => length > 5)).toBe(true);
      // The failed attempt holds nothing: the next one fails the same way, not for a lock.
      expect(await open(directory).catch((again: SquadError) => again.code)).toBe(code);
      return code;
    }
    await expectFilled(store);
    store.appendTurn({ batches: [batch(50)] });
    await store.sync();
    expect(await store.readBatch(name(1, 50))).toEqual(batch(50).bytes);
    await store.close();
    return 'opened';
  }

  it('whose last log file is cut anywhere opens with a prefix, or says that durable records are missing', async () => {
    const origin = await filledFolder();
    const logFiles = (await readdir(join(origin, 'log'))).filter((file) => file.endsWith('.log')).sort();
    const last = join('log', logFiles.at(-1)!);
    const { length } = await readFile(join(origin, last));
    for (let cut = 0; cut < length; cut += 211) {
      const directory = await copyOfFolder(origin);
      await truncate(join(directory, last), cut);
      await rejection(open(directory), 'STORE_LOG_SHORT');
      // Without the index nothing says what was durable: a prefix is all there is.
      await rm(join(directory, 'index'), { recursive: true });
      const store = await open(directory);
      expect(store.head).toBeLessThan(10);
      for (let height = 1; height <= store.head; height++) {
        expect(await store.readBatch(batch(height).digest)).toEqual(batch(height).bytes);
      }
      await store.close();
    }
  });
});
