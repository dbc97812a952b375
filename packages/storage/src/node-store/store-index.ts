/**
 * What the key-value store knows of the log: where batches stand, and final blocks. Entries wait in memory and are written
 * many at a time, without a sync: after a crash they come again from the log, from `indexedThrough` on.
 */

import { type BatchDigest, type BlockHash, type Height, toHex } from '@squad/types';
import type { KeyValueEntry, KeyValueStore, Log, LogPosition, StoredBlock } from '../api.ts';
import { storeBehindIndex, storeIndexLost } from '../errors.ts';
import { INDEX_FLUSH_ENTRIES, MAX_UNINDEXED_ENTRIES, RECENT_BATCHES, RECENT_BLOCKS } from '../limits.ts';
import {
  batchKey,
  batchPositionKey,
  blockHashKey,
  blockKey,
  bodiesFromKey,
  certificateKey,
  decodeBlockValue,
  END_OF_BATCH_POSITIONS,
  END_OF_BLOCKS,
  END_OF_BODIES_FROM,
  END_OF_CERTIFICATES,
  encodeBlockValue,
  type IndexedBlock,
  numberInKey,
  STATE_KEYS,
} from './keys.ts';
import { decodeStoreRecord } from './records.ts';
import { decodeUint64, encodeUint64 } from './uint64.ts';

export interface StoredPosition {
  readonly digest: BatchDigest;
  readonly position: LogPosition;
}

/** Durable entries that are not in the key-value store yet. */
class Unwritten {
  readonly batches: StoredPosition[] = [];
  readonly blocks = new Map<Height, IndexedBlock>();
  readonly heights = new Map<BlockHash, Height>();
  through: LogPosition = 0;

  get size(): number {
    return this.batches.length + this.blocks.size;
  }
}

const ENTRIES_PER_DELETION = 4096;

export class StoreIndex {
  readonly #keyValueStore: KeyValueStore;
  readonly #log: Log;
  readonly #recentBatches = new Map<BatchDigest, LogPosition>();
  readonly #recentHashes = new Map<Height, BlockHash>();
  #unwritten = new Unwritten();
  #beingWritten: Unwritten | undefined;
  #flushing: Promise<void> | undefined;
  #failure: unknown;
  #head: Height | undefined;

  /** Brings the index up to date with the log. Throws `STORE_LOG_SHORT` or `STORE_INDEX_LOST` if they do not fit. */
  static async open(log: Log, keyValueStore: KeyValueStore): Promise<StoreIndex> {
    const stored = await keyValueStore.get(STATE_KEYS.indexedThrough);
    const indexedThrough = stored === undefined ? 0 : decodeUint64(stored);
    if (indexedThrough > log.end) throw storeBehindIndex(log.end, indexedThrough);
    if (indexedThrough < log.start) throw storeIndexLost(indexedThrough, log.start);
    const index = new StoreIndex(log, keyValueStore);
    await index.#loadRecent();
    await index.#catchUp(indexedThrough);
    return index;
  }

  private constructor(log: Log, keyValueStore: KeyValueStore) {
    this.#log = log;
    this.#keyValueStore = keyValueStore;
  }

  /** Undefined: no block at all. */
  get head(): Height | undefined {
    return this.#head;
  }

  /** Of the last `RECENT_BATCHES` batches. */
  recentPosition(digest: BatchDigest): LogPosition | undefined {
    const position = this.#recentBatches.get(digest);
    return position === undefined || position < this.#log.start ? undefined : position;
  }

  /** Of the last `RECENT_BLOCKS` blocks since the start. */
  recentHash(height: Height): BlockHash | undefined {
    return this.#recentHashes.get(height);
  }

  async position(digest: BatchDigest): Promise<LogPosition | undefined> {
    const recent = this.recentPosition(digest);
    if (recent !== undefined) return recent;
    const value = await this.#keyValueStore.get(batchKey(digest));
    const position = value === undefined ? undefined : decodeUint64(value);
    return position === undefined || position < this.#log.start ? undefined : position;
  }

  /** The positions of many batches, in their order. */
  async positions(digests: readonly BatchDigest[]): Promise<(LogPosition | undefined)[]> {
    const positions = digests.map((digest) => this.recentPosition(digest));
    const older = [...digests.keys()].filter((i) => positions[i] === undefined);
    if (older.length === 0) return positions;
    const values = await this.#keyValueStore.getMany(older.map((i) => batchKey(digests[i]!)));
    for (const [at, i] of older.entries()) {
      const position = values[at] === undefined ? undefined : decodeUint64(values[at]);
      if (position !== undefined && position >= this.#log.start) positions[i] = position;
    }
    return positions;
  }

  async blocks(from: Height, count: number): Promise<StoredBlock[]> {
    const heights = Array.from({ length: Math.min(count, (this.#head ?? -1) - from + 1) }, (_, i) => from + i);
    const waiting = heights.map(
      (height) => this.#unwritten.blocks.get(height) ?? this.#beingWritten?.blocks.get(height),
    );
    const written = heights.filter((_, i) => waiting[i] === undefined);
    const values = await this.#keyValueStore.getMany([...written.map(blockKey), ...written.map(certificateKey)]);
    const blocks: StoredBlock[] = [];
    let next = 0;
    for (const [i, height] of heights.entries()) {
      const found = waiting[i];
      if (found !== undefined) {
        blocks.push({ height, hash: found.hash, block: found.block, certificate: found.certificate });
        continue;
      }
      const value = values[next];
      if (value === undefined) break; // a store may begin after the first blocks
      blocks.push({ height, ...decodeBlockValue(value), certificate: values[written.length + next] });
      next++;
    }
    return blocks;
  }

  async block(height: Height): Promise<StoredBlock | undefined> {
    const waiting = this.#unwritten.blocks.get(height) ?? this.#beingWritten?.blocks.get(height);
    if (waiting !== undefined) {
      return { height, hash: waiting.hash, block: waiting.block, certificate: waiting.certificate };
    }
    const [value, certificate] = await this.#keyValueStore.getMany([blockKey(height), certificateKey(height)]);
    return value === undefined ? undefined : { height, ...decodeBlockValue(value), certificate };
  }

  async heightOf(hash: BlockHash): Promise<Height | undefined> {
    const waiting = this.#unwritten.heights.get(hash) ?? this.#beingWritten?.heights.get(hash);
    if (waiting !== undefined) return waiting;
    const value = await this.#keyValueStore.get(blockHashKey(hash));
    return value === undefined ? undefined : decodeUint64(value);
  }

  async nextCertificate(from: Height): Promise<{ height: Height; certificate: Uint8Array } | undefined> {
    const waiting = [this.#beingWritten, this.#unwritten].flatMap((part) => [...(part?.blocks.values() ?? [])]);
    const range = { gte: certificateKey(from), lt: END_OF_CERTIFICATES, limit: 1 };
    for await (const [key, certificate] of this.#keyValueStore.range(range))
      return { height: numberInKey(key), certificate };
    for (const { height, certificate } of waiting) {
      if (height >= from && certificate !== undefined) return { height, certificate };
    }
    return undefined;
  }

  /** Takes over what has become durable. `through`: all records before it are indexed with this. */
  add(batches: readonly StoredPosition[], blocks: readonly IndexedBlock[], through: LogPosition): void {
    for (const batch of batches) {
      this.#unwritten.batches.push(batch);
      this.#remember(batch);
    }
    for (const block of blocks) {
      this.#unwritten.blocks.set(block.height, block);
      this.#unwritten.heights.set(block.hash, block.height);
      this.#rememberHead(block.height, block.hash);
    }
    this.#unwritten.through = through;
  }

  /** Writes entries when there are enough of them; waits only if there are far too many. Throws what an earlier write threw. */
  async flushIfMany(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#unwritten.size < INDEX_FLUSH_ENTRIES) return;
    const isFarTooMany = this.#unwritten.size >= MAX_UNINDEXED_ENTRIES;
    // A write that fails is reported by the next call.
    const flushing = this.#flushing ?? this.flush().catch(() => undefined);
    if (isFarTooMany) await flushing;
  }

  /** Writes all entries. `sync`: they are durable when it resolves. */
  async flush(options: { readonly sync?: boolean } = {}): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
    if (this.#unwritten.size === 0 && options.sync !== true) return;
    const part = this.#unwritten;
    this.#beingWritten = part;
    this.#unwritten = new Unwritten();
    this.#unwritten.through = part.through;
    this.#flushing = this.#keyValueStore.write(entriesOf(part), options);
    try {
      await this.#flushing;
    } catch (error) {
      this.#failure = error;
      throw error;
    } finally {
      this.#flushing = undefined;
      this.#beingWritten = undefined;
    }
  }

  /** The lowest position at which a batch of a block at or above the height can stand; undefined if there is none. */
  async lowestBodies(height: Height): Promise<LogPosition | undefined> {
    let lowest: LogPosition | undefined;
    for await (const [, value] of this.#keyValueStore.range({ gte: bodiesFromKey(height), lt: END_OF_BODIES_FROM })) {
      const position = decodeUint64(value);
      if (lowest === undefined || position < lowest) lowest = position;
    }
    return lowest;
  }

  /** Drops the entries of batches that are no longer in the log, and returns which. */
  async forgetPruned(height: Height): Promise<BatchDigest[]> {
    const pruned: BatchDigest[] = [];
    let keys: Uint8Array[] = [];
    let digests: BatchDigest[] = [];
    const range = { gte: batchPositionKey(0), lt: batchPositionKey(this.#log.start) };
    for await (const [key, digest] of this.#keyValueStore.range(range)) {
      keys.push(key);
      digests.push(toHex(digest));
      if (keys.length < ENTRIES_PER_DELETION) continue;
      pruned.push(...(await this.#forget(keys, digests)));
      keys = [];
      digests = [];
    }
    pruned.push(...(await this.#forget(keys, digests)));
    await deleteRange(this.#keyValueStore, bodiesFromKey(0), bodiesFromKey(height));
    return pruned;
  }

  async #forget(positionKeys: readonly Uint8Array[], digests: readonly BatchDigest[]): Promise<BatchDigest[]> {
    const latest = await this.#keyValueStore.getMany(digests.map(batchKey));
    // A batch may have been stored once more since, further on.
    const gone = digests.filter((_, i) => latest[i] === undefined || decodeUint64(latest[i]!) < this.#log.start);
    const deletions = [...positionKeys, ...gone.map(batchKey)].map((key) => [key, undefined] as const);
    if (deletions.length > 0) await this.#keyValueStore.write(deletions);
    for (const digest of gone) if (this.recentPosition(digest) === undefined) this.#recentBatches.delete(digest);
    return gone;
  }

  async #loadRecent(): Promise<void> {
    const batches: StoredPosition[] = [];
    const range = { gte: batchPositionKey(0), lt: END_OF_BATCH_POSITIONS, reverse: true, limit: RECENT_BATCHES };
    for await (const [key, digest] of this.#keyValueStore.range(range)) {
      batches.push({ digest: toHex(digest), position: numberInKey(key) });
    }
    for (const batch of batches.reverse()) this.#remember(batch);
    const heads = this.#keyValueStore.range({ gte: blockKey(0), lt: END_OF_BLOCKS, reverse: true, limit: 1 });
    for await (const [key, value] of heads) this.#rememberHead(numberInKey(key), decodeBlockValue(value).hash);
  }

  async #catchUp(indexedThrough: LogPosition): Promise<void> {
    for await (const record of this.#log.replay(indexedThrough)) {
      const decoded = decodeStoreRecord(record);
      if (decoded.type === 'batch') this.add([decoded], [], record.position);
      if (decoded.type === 'final') this.add([], [decoded.block], record.position);
      await this.flushIfMany();
    }
    this.#unwritten.through = this.#log.end;
    await this.flush();
  }

  #remember({ digest, position }: StoredPosition): void {
    this.#recentBatches.delete(digest);
    this.#recentBatches.set(digest, position);
    if (this.#recentBatches.size > RECENT_BATCHES) deleteFirst(this.#recentBatches);
  }

  #rememberHead(height: Height, hash: BlockHash): void {
    this.#head = Math.max(height, this.#head ?? 0);
    this.#recentHashes.set(height, hash);
    if (this.#recentHashes.size > RECENT_BLOCKS) deleteFirst(this.#recentHashes);
  }
}

function entriesOf(part: Unwritten): KeyValueEntry[] {
  const entries: KeyValueEntry[] = [];
  for (const { digest, position } of part.batches) {
    const key = batchKey(digest);
    entries.push([key, encodeUint64(position)], [batchPositionKey(position), key.subarray(1)]);
  }
  for (const block of part.blocks.values()) {
    entries.push(
      [blockKey(block.height), encodeBlockValue(block)],
      [blockHashKey(block.hash), encodeUint64(block.height)],
      [bodiesFromKey(block.height), encodeUint64(block.bodiesFrom)],
    );
    if (block.certificate !== undefined) entries.push([certificateKey(block.height), block.certificate]);
  }
  entries.push([STATE_KEYS.indexedThrough, encodeUint64(part.through)]);
  return entries;
}

function deleteFirst<K>(map: Map<K, unknown>): void {
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}

async function deleteRange(keyValueStore: KeyValueStore, gte: Uint8Array, lt: Uint8Array): Promise<void> {
  let deletions: KeyValueEntry[] = [];
  for await (const [key] of keyValueStore.range({ gte, lt })) {
    deletions.push([key, undefined]);
    if (deletions.length < ENTRIES_PER_DELETION) continue;
    await keyValueStore.write(deletions);
    deletions = [];
  }
  if (deletions.length > 0) await keyValueStore.write(deletions);
}
