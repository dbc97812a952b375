/**
 * The node's store over any log and key-value store. What a turn appends is *staged*, and moves into the index, where reads
 * see it, when a sync that was called later has resolved (R20).
 */

import { type BatchDigest, type BlockHash, type Bytes32, type Height, isHex, SquadError } from '@squad/types';
import type {
  BatchToStore,
  FinalToStore,
  KeyValueStore,
  Log,
  LogPosition,
  LogRecord,
  NodeStore,
  PositionedRecord,
  StoredBlock,
  TransactionLocation,
  Turn,
} from '../api.ts';
import { keyValueCorrupt, storeBehindIndex, storeConflict, storeGap, storeInput } from '../errors.ts';
import { BATCH_CACHE_BYTES, MAX_CONSENSUS_KIND, MAX_META_BYTES, MAX_META_KEY_BYTES } from '../limits.ts';
import { BatchCache } from './batch-cache.ts';
import { type IndexedBlock, metaKey, STATE_KEYS } from './keys.ts';
import { batchBytes, decodeStoreRecord, encodeBatchRecord, encodeFinalRecord } from './records.ts';
import { type StoredPosition, StoreIndex } from './store-index.ts';
import { TransactionIndex } from './transaction-index.ts';
import { decodeUint64, encodeUint64 } from './uint64.ts';

export interface NodeStoreParts {
  readonly log: Log;
  readonly keyValueStore: KeyValueStore;
  /** Bytes of batches to keep in memory. Default `BATCH_CACHE_BYTES`. */
  readonly batchCacheBytes?: number;
}

interface StagedBatch extends StoredPosition {
  readonly bytes: Uint8Array;
}

interface StagedTurn {
  readonly batches: readonly StagedBatch[];
  readonly blocks: readonly IndexedBlock[];
  /** End of the log after this turn. */
  readonly end: LogPosition;
}

/** Opens the store over an open log and key-value store, which it owns from then on. */
export async function createNodeStore(parts: NodeStoreParts): Promise<NodeStore> {
  const { log, keyValueStore } = parts;
  const index = await StoreIndex.open(log, keyValueStore);
  const transactions = await TransactionIndex.open(keyValueStore);
  const stored = await keyValueStore.get(STATE_KEYS.checkpoint);
  const checkpoint = stored === undefined ? log.start : decodeUint64(stored);
  if (checkpoint > log.end) throw storeBehindIndex(log.end, checkpoint);
  return new LogNodeStore(parts, index, transactions, checkpoint);
}

/** Part of a batch's own size that may be held with it, in place of a copy of it. */
const MAX_WASTE = 1 / 8;

class LogNodeStore implements NodeStore {
  readonly #log: Log;
  readonly #keyValueStore: KeyValueStore;
  readonly #index: StoreIndex;
  readonly #transactions: TransactionIndex;
  readonly #cache: BatchCache;
  /** Turns that are not durable yet, in order. */
  #staged: StagedTurn[] = [];
  readonly #stagedBatches = new Map<BatchDigest, LogPosition>();
  readonly #stagedHashes = new Map<Height, BlockHash>();
  #stagedHead: Height | undefined;
  #durableEnd: LogPosition;
  #checkpoint: LogPosition;
  #closing: Promise<void> | undefined;

  constructor(parts: NodeStoreParts, index: StoreIndex, transactions: TransactionIndex, checkpoint: LogPosition) {
    this.#log = parts.log;
    this.#keyValueStore = parts.keyValueStore;
    this.#index = index;
    this.#transactions = transactions;
    this.#cache = new BatchCache(parts.batchCacheBytes ?? BATCH_CACHE_BYTES);
    this.#stagedHead = index.head;
    this.#durableEnd = parts.log.end;
    this.#checkpoint = checkpoint;
  }

  get head(): Height {
    return this.#index.head ?? 0;
  }

  get transactionsIndexedThrough(): Height {
    return this.#transactions.through;
  }

  appendTurn(turn: Turn): LogPosition[] {
    const consensus = turn.consensus ?? [];
    for (const { kind } of consensus) checkConsensusKind(kind);
    const batches = this.#newBatches(turn.batches ?? []);
    const blocks = this.#newBlocks(turn.finals ?? []);
    const batchRecords = batches.map(({ digest, bytes }) => encodeBatchRecord(digest, bytes));
    const positions = this.#log.append([...consensus, ...batchRecords, ...blocks.map(encodeFinalRecord)]);
    if (positions.length > 0) this.#stage(batches, blocks, positions.slice(consensus.length));
    return positions.slice(0, consensus.length);
  }

  async startAt(block: FinalToStore, consensus: readonly LogRecord[]): Promise<void> {
    if (this.#stagedHead !== undefined) throw storeGap(block.height, this.#stagedHead);
    await this.#transactions.startAt(block.height);
    this.#stagedHead = block.height - 1;
    const [position] = this.appendTurn({ consensus, finals: [block] });
    await this.sync();
    await this.checkpoint(position!);
  }

  async sync(): Promise<void> {
    const end = this.#log.end;
    await this.#log.sync();
    this.#promote(end);
    await this.#index.flushIfMany();
  }

  hasBatch(digest: BatchDigest): boolean {
    return this.#index.recentPosition(digest) !== undefined;
  }

  async readBatch(digest: BatchDigest): Promise<Uint8Array | undefined> {
    const cached = this.#cache.get(digest);
    if (cached !== undefined) return cached;
    const position = await this.#index.position(digest);
    const record = position === undefined ? undefined : await this.#readUnlessPruned(position);
    if (record === undefined || position === undefined) return undefined;
    return this.#takeRead(digest, position, record);
  }

  async readBatches(digests: readonly BatchDigest[]): Promise<(Uint8Array | undefined)[]> {
    const found = digests.map((digest) => this.#cache.get(digest));
    const wanted = [...digests.keys()].filter((i) => found[i] === undefined);
    if (wanted.length === 0) return found;
    const positions = await this.#index.positions(wanted.map((i) => digests[i]!));
    const stored = [...wanted.keys()].filter((at) => positions[at] !== undefined);
    const records = await this.#log.readMany(stored.map((at) => positions[at]!));
    for (const [i, at] of stored.entries()) {
      const record = records[i];
      if (record === undefined) continue;
      const index = wanted[at]!;
      found[index] = this.#takeRead(digests[index]!, positions[at]!, record);
    }
    return found;
  }

  async missingBatches(digests: readonly BatchDigest[]): Promise<BatchDigest[]> {
    const positions = await this.#index.positions(digests);
    return digests.filter((_, i) => positions[i] === undefined);
  }

  async readBlocks(from: Height, count: number): Promise<StoredBlock[]> {
    return this.#index.blocks(from, count);
  }

  async readBlock(height: Height): Promise<StoredBlock | undefined> {
    return this.#index.block(height);
  }

  async heightOf(hash: BlockHash): Promise<Height | undefined> {
    return this.#index.heightOf(hash);
  }

  async finalizationAt(height: Height): Promise<Uint8Array | undefined> {
    return (await this.#index.block(height))?.certificate;
  }

  async nextFinalizationAtOrAfter(height: Height): Promise<{ height: Height; certificate: Uint8Array } | undefined> {
    return this.#index.nextCertificate(height);
  }

  async checkpoint(position: LogPosition): Promise<void> {
    if (!Number.isSafeInteger(position) || position < this.#checkpoint || position >= this.#durableEnd) {
      const demand = `a synced position, from the last checkpoint ${this.#checkpoint} up to ${this.#durableEnd}`;
      throw storeInput('The checkpoint', position, demand);
    }
    await this.#keyValueStore.write([[STATE_KEYS.checkpoint, encodeUint64(position)]]);
    this.#checkpoint = Math.max(this.#checkpoint, position);
  }

  async *replayConsensus(): AsyncIterable<PositionedRecord> {
    for await (const record of this.#log.replay(this.#checkpoint)) {
      if (record.kind <= MAX_CONSENSUS_KIND) yield record;
    }
  }

  async getMeta(key: string): Promise<Uint8Array | undefined> {
    return this.#keyValueStore.get(checkedMetaKey(key));
  }

  async setMeta(key: string, value: Uint8Array | undefined): Promise<void> {
    if (value !== undefined && value.length > MAX_META_BYTES) {
      throw storeInput(`The byte length of meta "${key}"`, value.length, `at most MAX_META_BYTES = ${MAX_META_BYTES}`);
    }
    await this.#keyValueStore.write([[checkedMetaKey(key), value]], { sync: true });
  }

  async indexTransactions(batchIndex: number, hashPrefixes: Uint8Array): Promise<void> {
    await this.#transactions.add(batchIndex, hashPrefixes);
  }

  async completeTransactions(height: Height): Promise<void> {
    await this.#transactions.complete(height);
  }

  async transactionCandidates(hash: Bytes32): Promise<readonly TransactionLocation[]> {
    if (hash.length !== 32) throw storeInput('The byte length of a transaction hash', hash.length, '32');
    return this.#transactions.find(hash);
  }

  async pruneBodiesBefore(height: Height, keep: readonly BatchDigest[]): Promise<void> {
    // What the log loses must be durable in the index first.
    const durableEnd = this.#durableEnd;
    await this.#index.flush({ sync: true });
    let before = Math.min(durableEnd, this.#checkpoint, (await this.#index.lowestBodies(height)) ?? durableEnd);
    for (const digest of keep) before = Math.min(before, (await this.#index.position(digest)) ?? before);
    await this.#log.pruneBefore(before);
    for (const digest of await this.#index.forgetPruned(height)) this.#cache.delete(digest);
    await this.#transactions.pruneBefore(height);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.sync();
      await this.#transactions.close();
      await this.#index.flush({ sync: true });
    } finally {
      await this.#keyValueStore.close();
      await this.#log.close();
    }
  }

  /** Checks that a record is the batch that the index says it is, and keeps it in memory. */
  #takeRead(digest: BatchDigest, position: LogPosition, record: LogRecord): Uint8Array {
    const decoded = decodeStoreRecord({ ...record, position });
    if (decoded.type !== 'batch' || decoded.digest !== digest) {
      throw keyValueCorrupt('of batches', new Error(`it says that batch ${digest} stands at ${position} of the log`));
    }
    const bytes = batchBytes(record.payload);
    this.#cache.set(digest, bytes);
    return bytes;
  }

  #newBatches(batches: readonly BatchToStore[]): BatchToStore[] {
    const given = new Set<BatchDigest>();
    return batches.filter(({ digest }) => {
      if (!isHex(digest, 32)) throw storeInput('The digest of a batch', digest, '32 bytes in hex');
      const isNew = !given.has(digest) && !this.#stagedBatches.has(digest) && !this.hasBatch(digest);
      given.add(digest);
      return isNew;
    });
  }

  #newBlocks(finals: readonly FinalToStore[]): IndexedBlock[] {
    const blocks: IndexedBlock[] = [];
    let head = this.#stagedHead;
    for (const { height, hash, block, certificate, batchDigests } of finals) {
      if (!isHex(hash, 32)) throw storeInput('The hash of a block', hash, '32 bytes in hex');
      if (head !== undefined && height <= head) {
        this.#checkRepetition(height, hash, blocks);
        continue;
      }
      // The first one may be the genesis block or the one after it.
      if (height !== (head ?? 0) + 1 && !(head === undefined && height === 0)) throw storeGap(height, head ?? 0);
      const bodiesFrom = batchDigests.reduce(
        (low, digest) => Math.min(low, this.#knownPosition(digest) ?? low),
        this.#log.end,
      );
      blocks.push({ height, hash, block: block.slice(), certificate: certificate?.slice(), bodiesFrom });
      head = height;
    }
    return blocks;
  }

  #checkRepetition(height: Height, hash: BlockHash, before: readonly IndexedBlock[]): void {
    const inTurn = before.find((block) => block.height === height)?.hash;
    const held = inTurn ?? this.#stagedHashes.get(height) ?? this.#index.recentHash(height);
    if (held !== undefined && held !== hash) throw storeConflict(height, held, hash);
  }

  #knownPosition(digest: BatchDigest): LogPosition | undefined {
    return this.#stagedBatches.get(digest) ?? this.#index.recentPosition(digest);
  }

  #stage(batches: readonly BatchToStore[], blocks: readonly IndexedBlock[], positions: readonly LogPosition[]): void {
    const staged = batches.map(({ digest, bytes }, i) => ({ digest, position: positions[i]!, bytes: compact(bytes) }));
    this.#staged.push({ batches: staged, blocks, end: this.#log.end });
    for (const { digest, position } of staged) this.#stagedBatches.set(digest, position);
    for (const { height, hash } of blocks) {
      this.#stagedHashes.set(height, hash);
      this.#stagedHead = height;
    }
  }

  /** All turns that end at or before `end` are durable. */
  #promote(end: LogPosition): void {
    let count = 0;
    for (const turn of this.#staged) {
      if (turn.end > end) break;
      count++;
      for (const { digest, bytes } of turn.batches) {
        this.#stagedBatches.delete(digest);
        this.#cache.set(digest, bytes);
      }
      for (const { height } of turn.blocks) this.#stagedHashes.delete(height);
      this.#index.add(turn.batches, turn.blocks, turn.end);
    }
    this.#staged.splice(0, count);
    this.#durableEnd = Math.max(this.#durableEnd, end);
  }

  async #readUnlessPruned(position: LogPosition): Promise<LogRecord | undefined> {
    try {
      return await this.#log.read(position);
    } catch (error) {
      if (error instanceof SquadError && error.code === 'LOG_PRUNED') return undefined;
      throw error;
    }
  }
}

/** What is kept in memory must not hold much more than itself: a batch may be a view of all that came with it. */
function compact(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength > (1 + MAX_WASTE) * bytes.length ? bytes.slice() : bytes;
}

function checkConsensusKind(kind: number): void {
  if (!Number.isInteger(kind) || kind < 1 || kind > MAX_CONSENSUS_KIND) {
    throw storeInput('The kind of a consensus record', kind, `within 1 to MAX_CONSENSUS_KIND = ${MAX_CONSENSUS_KIND}`);
  }
}

function checkedMetaKey(name: string): Uint8Array {
  const key = metaKey(name);
  if (key.length - 1 < 1 || key.length - 1 > MAX_META_KEY_BYTES) {
    throw storeInput(
      'The name of a meta value',
      name.slice(0, 80),
      `of 1 to MAX_META_KEY_BYTES = ${MAX_META_KEY_BYTES} bytes`,
    );
  }
  return key;
}
