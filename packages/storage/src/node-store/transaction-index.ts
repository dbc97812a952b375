/**
 * Where transactions were ordered, by hash. A run of entries gathers in memory and is written when it is full, one value for
 * each bucket of hashes: a write for some 16 transactions, where one for each cost a node a third of its time. All nodes of a
 * set fill their runs at the same block: so a full one is written a little at a time, or all would stop together.
 *
 * Only the first `HASH_PREFIX_BYTES` of a hash are kept. Who asks gets every place whose hash begins like that, and looks there.
 * A look-up reads one value of each run that was written: of 262,144 transactions each.
 */

import { setTimeout } from 'node:timers/promises';
import { type Bytes32, HASH_PREFIX_BYTES, type Height } from '@squad/types';
import type { KeyValueEntry, KeyValueStore, TransactionLocation } from '../api.ts';
import { storeInput } from '../errors.ts';
import {
  MAX_BATCHES_IN_INDEX,
  MAX_TRANSACTION_CANDIDATES,
  TRANSACTION_RUN_BLOCKS,
  TRANSACTION_RUN_ENTRIES,
} from '../limits.ts';
import { STATE_KEYS, transactionBucketKey, transactionRunKey, transactionRunRange } from './keys.ts';
import { BASE_BYTES, BUCKETS, bucketOf, ENTRY_BYTES, entryAt, TransactionRun } from './transaction-run.ts';
import { decodeUint64, encodeUint64 } from './uint64.ts';

const WRITES_PER_CALL = 2048;
/** Buckets of a full run that are written at once. */
const BUCKETS_AT_ONCE = 256;
/** How many times as long as that took the next ones wait, and the longest that they do. */
const REST_FACTOR = 8;
const MAX_REST_MS = 100;

export class TransactionIndex {
  readonly #keyValueStore: KeyValueStore;
  #through: Height;
  #open: TransactionRun;
  /** Full, and on its way into the key-value store. */
  #beingWritten: TransactionRun | undefined;
  #writing: Promise<void> = Promise.resolve();
  /** Somebody waits for what is being written. */
  #isAwaited = false;

  static async open(keyValueStore: KeyValueStore): Promise<TransactionIndex> {
    const [through, run] = await keyValueStore.getMany([
      STATE_KEYS.transactionsIndexedThrough,
      STATE_KEYS.nextTransactionRun,
    ]);
    return new TransactionIndex(
      keyValueStore,
      through === undefined ? 0 : decodeUint64(through),
      run === undefined ? 0 : decodeUint64(run),
    );
  }

  private constructor(keyValueStore: KeyValueStore, through: Height, run: number) {
    this.#keyValueStore = keyValueStore;
    this.#through = through;
    this.#open = new TransactionRun(run, through + 1, TRANSACTION_RUN_ENTRIES);
  }

  /** Of a store that holds no blocks up to this height. */
  async startAt(through: Height): Promise<void> {
    await this.#keyValueStore.write([[STATE_KEYS.transactionsIndexedThrough, encodeUint64(through)]], { sync: true });
    this.#through = through;
    this.#open = new TransactionRun(this.#open.number, through + 1, TRANSACTION_RUN_ENTRIES);
  }

  get through(): Height {
    return this.#through;
  }

  /** Adds the transactions of a batch of the block above `through`. Resolves when there is room for more. */
  async add(batchIndex: number, prefixes: Uint8Array): Promise<void> {
    const count = prefixes.length / HASH_PREFIX_BYTES;
    if (!Number.isInteger(count)) {
      throw storeInput('The byte length of hash prefixes', prefixes.length, `a multiple of ${HASH_PREFIX_BYTES}`);
    }
    if (count > TRANSACTION_RUN_ENTRIES) {
      throw storeInput(
        'The number of hash prefixes',
        count,
        `at most TRANSACTION_RUN_ENTRIES = ${TRANSACTION_RUN_ENTRIES}`,
      );
    }
    if (batchIndex >= MAX_BATCHES_IN_INDEX) {
      throw storeInput('A batch index', batchIndex, `below MAX_BATCHES_IN_INDEX = ${MAX_BATCHES_IN_INDEX}`);
    }
    if (this.#open.count + count > this.#open.capacity) await this.#turnOver();
    this.#open.add(this.#through + 1, batchIndex, prefixes);
  }

  /** The block above `through` is added whole. */
  async complete(height: Height): Promise<void> {
    if (height !== this.#through + 1)
      throw storeInput('The height of an indexed block', height, `${this.#through + 1}`);
    this.#through = height;
    if (height - this.#open.base >= TRANSACTION_RUN_BLOCKS) await this.#turnOver();
  }

  /** Places whose hash begins like this one, the earliest first. */
  async find(hash: Bytes32): Promise<TransactionLocation[]> {
    const inMemory = [this.#beingWritten, this.#open].flatMap((run) => run?.find(hash) ?? []);
    const found: TransactionLocation[] = [];
    const bucket = bucketOf(hash);
    // What is still in memory may be written in part already.
    const lt = transactionBucketKey(bucket, (this.#beingWritten ?? this.#open).number);
    for await (const [, value] of this.#keyValueStore.range({ gte: transactionBucketKey(bucket, 0), lt })) {
      const base = decodeUint64(value);
      for (let offset = BASE_BYTES; offset < value.length; offset += ENTRY_BYTES) {
        const location = entryAt(value, offset, base, hash);
        if (location !== undefined) found.push(location);
      }
    }
    return [...found, ...inMemory].sort(byPlace).slice(0, MAX_TRANSACTION_CANDIDATES);
  }

  /** Forgets runs that lie below the height as a whole. */
  async pruneBefore(height: Height): Promise<void> {
    for await (const [key, value] of this.#keyValueStore.range(transactionRunRange(BUCKETS))) {
      if (decodeUint64(value) >= height) return;
      const run = decodeUint64(key, 3);
      const used = value.subarray(8);
      let deletions: KeyValueEntry[] = [];
      for (let bucket = 0; bucket < BUCKETS; bucket++) {
        if ((used[bucket >>> 3]! & (1 << (bucket & 7))) === 0) continue;
        deletions.push([transactionBucketKey(bucket, run), undefined]);
        if (deletions.length < WRITES_PER_CALL) continue;
        await this.#keyValueStore.write(deletions);
        deletions = [];
      }
      await this.#keyValueStore.write([...deletions, [key, undefined]]);
    }
  }

  /** Writes what is in memory. After a crash instead, the blocks above the last run that was written are added again. */
  async close(): Promise<void> {
    await this.#turnOver();
    await this.#written();
  }

  async #written(): Promise<void> {
    this.#isAwaited = true;
    try {
      await this.#writing;
    } finally {
      this.#isAwaited = false;
    }
  }

  /** Begins a new run; the one that was open is written while more comes in. */
  async #turnOver(): Promise<void> {
    await this.#written();
    const full = this.#open;
    this.#open = new TransactionRun(full.number + 1, this.#through + 1, TRANSACTION_RUN_ENTRIES);
    this.#beingWritten = full;
    // One that cannot be written stays in memory: what it holds is final, and was told of.
    this.#writing = this.#write(full, this.#through).then(() => {
      this.#beingWritten = undefined;
    });
    // Whoever waits for it next is told.
    this.#writing.catch(() => {});
  }

  /**
   * The run's values first, what says that they are there last. After a crash between them they are written once more, or as
   * part of another run's: a place may then be found twice, which does no harm.
   */
  async #write(run: TransactionRun, through: Height): Promise<void> {
    const used = new Uint8Array(8 + BUCKETS / 8);
    used.set(encodeUint64(through));
    for (let first = 0; first < BUCKETS; first += BUCKETS_AT_ONCE) {
      const startedAtMs = performance.now();
      const writes: KeyValueEntry[] = [];
      for (let bucket = first; bucket < first + BUCKETS_AT_ONCE; bucket++) {
        const value = run.bucket(bucket);
        if (value === undefined) continue;
        writes.push([transactionBucketKey(bucket, run.number), value]);
        used[8 + (bucket >>> 3)]! |= 1 << (bucket & 7);
      }
      if (writes.length === 0) continue;
      await this.#keyValueStore.write(writes);
      if (!this.#isAwaited) await setTimeout(Math.min(REST_FACTOR * (performance.now() - startedAtMs), MAX_REST_MS));
    }
    await this.#keyValueStore.write([
      ...(run.count > 0 ? [[transactionRunKey(run.number), used] satisfies KeyValueEntry] : []),
      [STATE_KEYS.nextTransactionRun, encodeUint64(run.number + 1)],
      [STATE_KEYS.transactionsIndexedThrough, encodeUint64(through)],
    ]);
  }
}

function byPlace(a: TransactionLocation, b: TransactionLocation): number {
  return a.height - b.height || a.batchIndex - b.batchIndex || a.transactionIndex - b.transactionIndex;
}
