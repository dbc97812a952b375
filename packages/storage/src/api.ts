/**
 * The ports of storage. Two implementations of each, `memory` and `disk`, pass one compliance suite.
 *
 * One log holds the truth: own votes, batches, blocks, certificates, in the order in which they were appended. Indexes
 * in the key-value store are derived from it and may lag; they are brought up to date from the log when it is opened.
 */

import type { BatchDigest, Bytes32, Height } from '@squad/types';

/** Where a record stands: opaque, ordered, stable for the log's life. */
export type LogPosition = number;

export interface LogRecord {
  /** What kind of record; the owner's own numbers, 1..255. */
  readonly kind: number;
  readonly payload: Uint8Array;
}

/** An append-only, checksummed, segmented log. What `append` was given in one call is kept whole or not at all. */
export interface Log {
  /** Hands the records to the operating system as one frame and returns their positions. Not durable before `sync`. */
  append(records: readonly LogRecord[]): LogPosition[];
  /** Resolves when everything appended before the call survives a crash. Calls in flight share one fsync. */
  sync(): Promise<void>;
  /** Reads one record back; throws a SquadError `LOG_CORRUPT` that names file and offset if its checksum is wrong. */
  read(position: LogPosition): Promise<LogRecord>;
  /** All records from a position on (inclusive; 0 is the beginning), in order. */
  replay(from: LogPosition): AsyncIterable<LogRecord & { readonly position: LogPosition }>;
  /** The position that the next record will get or exceed. */
  readonly end: LogPosition;
  /** Deletes whole segments that lie wholly before the position. */
  pruneBefore(position: LogPosition): Promise<void>;
  close(): Promise<void>;
}

/** A sorted key-value store. */
export interface KeyValueStore {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** Applied atomically; an undefined value deletes. `sync`: durable when it resolves. */
  write(entries: readonly (readonly [key: Uint8Array, value: Uint8Array | undefined])[], options?: { sync?: boolean }): Promise<void>;
  /** Ascending by key bytes; `gte` inclusive, `lt` exclusive. */
  range(options: { gte?: Uint8Array; lt?: Uint8Array; reverse?: boolean; limit?: number }): AsyncIterable<readonly [Uint8Array, Uint8Array]>;
  close(): Promise<void>;
}

/** Positions of batches in the log by digest. */
export interface BatchIndex {
  position(digest: BatchDigest): LogPosition | undefined;
}

/** Final blocks by height. */
export interface BlockIndex {
  readonly head: Height;
  hashAt(height: Height): Bytes32 | undefined;
}
