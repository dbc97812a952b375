/**
 * The ports of storage. Two implementations of each, `memory` and `disk`, pass one compliance suite.
 *
 * One log holds the truth: own votes, batches, blocks, certificates, in the order in which they were appended. Indexes
 * in the key-value store are derived from it and may lag; they are brought up to date from the log when it is opened.
 */

import type { BatchDigest, BlockHash, Bytes32, Height } from '@squad/types';

/** Where a record stands: a byte offset in the whole log, ordered, stable for the log's life. */
export type LogPosition = number;

export interface LogRecord {
  /** What kind of record; the owner's own numbers, 1..255. */
  readonly kind: number;
  readonly payload: Uint8Array;
}

/** A record as it is given to a log. */
export interface RecordToAppend extends LogRecord {
  /** What stands before `payload` in the record, so that a large one need not be copied to get a head. */
  readonly head?: Uint8Array;
}

export interface PositionedRecord extends LogRecord {
  readonly position: LogPosition;
}

/** An append-only, checksummed, segmented log. What `append` was given in one call is kept whole or not at all. */
export interface Log {
  /**
   * Hands the records to the operating system as one frame and returns their positions. Not durable before `sync`.
   * Payloads are not copied: they must not change before the next `sync` resolves.
   */
  append(records: readonly RecordToAppend[]): LogPosition[];
  /** Resolves when everything appended before the call survives a crash. Calls in flight share one fsync. */
  sync(): Promise<void>;
  /**
   * Reads one record back, synced or not. Throws a SquadError: `LOG_CORRUPT` names file and offset if its checksum is
   * wrong, `LOG_PRUNED` if the position is below `start`, `LOG_POSITION` if no record can be there.
   */
  read(position: LogPosition): Promise<LogRecord>;
  /** The same for many, in their order: what stands close together is read at once. Undefined: below `start`. */
  readMany(positions: readonly LogPosition[]): Promise<(LogRecord | undefined)[]>;
  /** All records from a position on (inclusive; 0 is the beginning), in order, up to what was appended before the call. */
  replay(from: LogPosition): AsyncIterable<PositionedRecord>;
  /** The lowest position that pruning has left; 0 in a log that was never pruned. */
  readonly start: LogPosition;
  /** The position that the next record will get or exceed. */
  readonly end: LogPosition;
  /** Deletes whole segments that lie wholly before the position. */
  pruneBefore(position: LogPosition): Promise<void>;
  /** Makes everything durable and lets go of the folder. Whatever is called afterwards throws `LOG_CLOSED`. */
  close(): Promise<void>;
}

/** A key with its new value; an undefined value deletes the key. */
export type KeyValueEntry = readonly [key: Uint8Array, value: Uint8Array | undefined];

export interface KeyRange {
  /** First key, inclusive. */
  readonly gte?: Uint8Array;
  /** End of the range, exclusive. */
  readonly lt?: Uint8Array;
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** A sorted key-value store. Arrays given to it and got from it must not be changed. */
export interface KeyValueStore {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** The values in the order of the keys. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>;
  /** Applied atomically and in the order of the calls. `sync`: this write and all before it are durable when it resolves. */
  write(entries: readonly KeyValueEntry[], options?: { readonly sync?: boolean }): Promise<void>;
  /** Ascending by key bytes; `gte` inclusive, `lt` exclusive. A view of one moment: later writes do not show. */
  range(options: KeyRange): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]>;
  /** Whatever is called afterwards throws `KEY_VALUE_CLOSED`. */
  close(): Promise<void>;
}

/** A batch as it is to be stored: its encoding, header and body (`encodeBatch` of @squad/types). */
export interface BatchToStore {
  readonly digest: BatchDigest;
  /** Kept as they are, not copied: they must not change. */
  readonly bytes: Uint8Array;
}

/** A final block as it is to be stored. */
export interface FinalToStore {
  /** The head's height + 1. (A block at or below the head is skipped if it is the same one.) */
  readonly height: Height;
  readonly hash: BlockHash;
  /** The encoding of the `Block`. */
  readonly block: Uint8Array;
  /** The encoding of the finalization certificate of this very block, if there is one. */
  readonly certificate: Uint8Array | undefined;
  /** The batches that the block orders: pruning must not take them before the block. */
  readonly batchDigests: readonly BatchDigest[];
}

/** What one turn of the event loop wants kept; stored whole or not at all. */
export interface Turn {
  /** Opaque to the store; kinds 1 to `MAX_CONSENSUS_KIND`. */
  readonly consensus?: readonly LogRecord[];
  /** Those that are already held are skipped. */
  readonly batches?: readonly BatchToStore[];
  readonly finals?: readonly FinalToStore[];
}

export interface StoredBlock {
  readonly height: Height;
  readonly hash: BlockHash;
  readonly block: Uint8Array;
  readonly certificate: Uint8Array | undefined;
}

/** Where a transaction was ordered. */
export interface TransactionLocation {
  readonly height: Height;
  /** Position of its batch in the block's refs. */
  readonly batchIndex: number;
  /** Position in the batch. */
  readonly transactionIndex: number;
}

/**
 * The one store of a node: write-ahead log, batch store, block store and indexes.
 *
 * Durable before visible (R20): batches and final blocks show in the reads below only once a `sync` that was called after
 * their `appendTurn` has resolved. What a read returns may be shown to anyone.
 */
export interface NodeStore {
  /** Hands the turn to the log as one frame; returns the positions of its consensus records, in order. */
  appendTurn(turn: Turn): LogPosition[];
  /**
   * Begins a store that holds nothing at a final block that is trusted: nothing below it is ever held, and replay begins with
   * the records given, a checkpoint and what it rests on. Durable when it resolves; after a crash before that the store is
   * empty still. Throws `STORE_GAP` if a block is held.
   */
  startAt(block: FinalToStore, consensus: readonly LogRecord[]): Promise<void>;
  /** One fsync for all turns appended before the call; then they survive a crash and can be read. */
  sync(): Promise<void>;

  /**
   * Whether the batch is held durably, for the last `RECENT_BATCHES` ones that were stored. An older batch may be held
   * and yet be false here: `readBatch` knows. Storing a batch twice costs space, and is otherwise harmless.
   */
  hasBatch(digest: BatchDigest): boolean;
  /** The batch's encoding; undefined if it is not held, or pruned. */
  readBatch(digest: BatchDigest): Promise<Uint8Array | undefined>;
  /** The same for many, in their order, for less; all of them are in memory at once. */
  readBatches(digests: readonly BatchDigest[]): Promise<(Uint8Array | undefined)[]>;
  /** Those that `readBatch` would not find, in their order. */
  missingBatches(digests: readonly BatchDigest[]): Promise<BatchDigest[]>;

  /** Height of the last final block held; 0 if there is none. */
  readonly head: Height;
  readBlock(height: Height): Promise<StoredBlock | undefined>;
  /** Final blocks from a height on, at most so many, up to the head. */
  readBlocks(from: Height, count: number): Promise<StoredBlock[]>;
  heightOf(hash: BlockHash): Promise<Height | undefined>;
  /** The finalization certificate of the very block at this height. */
  finalizationAt(height: Height): Promise<Uint8Array | undefined>;
  /** The lowest height, at or above the one given, whose block has a certificate of its own: it proves those below. */
  nextFinalizationAtOrAfter(
    height: Height,
  ): Promise<{ readonly height: Height; readonly certificate: Uint8Array } | undefined>;

  /**
   * Says that replay may begin at this consensus record, a checkpoint; call it after the `sync` of its turn. The pointer
   * itself is not synced: after a crash replay may begin at an older checkpoint, which gives the same state.
   */
  checkpoint(position: LogPosition): Promise<void>;
  /** The consensus records from the last checkpoint on (inclusive), or from the beginning. */
  replayConsensus(): AsyncIterable<PositionedRecord>;

  /** Small values by name, such as delivery cursors. */
  getMeta(key: string): Promise<Uint8Array | undefined>;
  /** Durable when it resolves. An undefined value deletes. */
  setMeta(key: string, value: Uint8Array | undefined): Promise<void>;

  /**
   * Indexes the transactions of a batch of the final block above `transactionsIndexedThrough`. `hashPrefixes`: the first
   * `HASH_PREFIX_BYTES` of each one's hash, one after the other. Resolves when there is room for more. Not synced: after a
   * crash go on from `transactionsIndexedThrough`, which may be much lower then.
   */
  indexTransactions(batchIndex: number, hashPrefixes: Uint8Array): Promise<void>;
  /** All batches of the block at `transactionsIndexedThrough + 1` are indexed. */
  completeTransactions(height: Height): Promise<void>;
  readonly transactionsIndexedThrough: Height;
  /**
   * Places, the earliest first, of transactions whose hash may be this one: the index knows only how hashes begin. At most
   * `MAX_TRANSACTION_CANDIDATES`.
   */
  transactionCandidates(hash: Bytes32): Promise<readonly TransactionLocation[]>;

  /**
   * Lets go of batches that no block at or above the height orders, and of the transaction index below it. Frees whole
   * log segments only, and never what lies after the last checkpoint. Blocks and certificates are kept for ever.
   * `keep`: batches that are not ordered yet.
   */
  pruneBodiesBefore(height: Height, keep: readonly BatchDigest[]): Promise<void>;

  /** Makes everything durable and lets go of the folder: that last part even if it rejects, as after a failed disk. */
  close(): Promise<void>;
}
