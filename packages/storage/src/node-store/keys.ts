/**
 * The layout of the index: one byte says what an entry is, and numbers in keys are big-endian, so that their order is the
 * keys' order.
 *
 *   0 + name                → the store's own state
 *   1 + name in UTF-8       → meta value
 *   2 + digest              → position of the batch in the log, u64
 *   3 + position u64        → digest of the batch there
 *   4 + height u64          → block hash 32 | block
 *   5 + block hash          → height u64
 *   6 + height u64          → certificate that finalizes this very block
 *   7 + bucket u16 | run u64 → base height u64 | entries of the transactions of the run in this bucket (transaction-run.ts)
 *   7 + 2^14 u16 | run u64  → height up to which the run goes u64 | a bit for each bucket that it has, for pruning
 *   9 + height u64          → lowest log position at which a batch of that block can stand, u64, for pruning
 */

import { type BatchDigest, type BlockHash, concatBytes, fromHex, type Height, toHex } from '@squad/types';
import type { LogPosition, StoredBlock } from '../api.ts';
import { BUCKETS } from './transaction-run.ts';
import { decodeUint64, encodeUint64 } from './uint64.ts';

const PREFIX = {
  state: 0,
  meta: 1,
  batch: 2,
  batchPosition: 3,
  block: 4,
  blockHash: 5,
  certificate: 6,
  transactions: 7,
  bodiesFrom: 9,
} as const;

const text = new TextEncoder();

function prefixed(prefix: number, rest: Uint8Array): Uint8Array {
  const key = new Uint8Array(1 + rest.length);
  key[0] = prefix;
  key.set(rest, 1);
  return key;
}

/** The store's own state: all values are u64. */
export const STATE_KEYS = {
  /** All records of the log before this position are indexed. */
  indexedThrough: prefixed(PREFIX.state, text.encode('indexedThrough')),
  checkpoint: prefixed(PREFIX.state, text.encode('checkpoint')),
  transactionsIndexedThrough: prefixed(PREFIX.state, text.encode('transactionsIndexedThrough')),
  nextTransactionRun: prefixed(PREFIX.state, text.encode('nextTransactionRun')),
} as const;

export const metaKey = (name: string): Uint8Array => prefixed(PREFIX.meta, text.encode(name));
export const batchKey = (digest: BatchDigest): Uint8Array => prefixed(PREFIX.batch, fromHex(digest));
export const batchPositionKey = (position: LogPosition): Uint8Array =>
  prefixed(PREFIX.batchPosition, encodeUint64(position));
export const blockKey = (height: Height): Uint8Array => prefixed(PREFIX.block, encodeUint64(height));
export const blockHashKey = (hash: BlockHash): Uint8Array => prefixed(PREFIX.blockHash, fromHex(hash));
export const certificateKey = (height: Height): Uint8Array => prefixed(PREFIX.certificate, encodeUint64(height));
export function transactionBucketKey(bucket: number, run: number): Uint8Array {
  const key = new Uint8Array(11);
  key[0] = PREFIX.transactions;
  key[1] = bucket >>> 8;
  key[2] = bucket;
  key.set(encodeUint64(run), 3);
  return key;
}
/** What is known of a run as a whole stands behind the last bucket. */
export const transactionRunKey = (run: number): Uint8Array => transactionBucketKey(BUCKETS, run);
/** All runs' keys of a bucket, oldest first. */
export const transactionRunRange = (bucket: number): { readonly gte: Uint8Array; readonly lt: Uint8Array } => ({
  gte: transactionBucketKey(bucket, 0),
  lt: transactionBucketKey(bucket + 1, 0),
});
export const bodiesFromKey = (height: Height): Uint8Array => prefixed(PREFIX.bodiesFrom, encodeUint64(height));

/** Ends of the ranges of keys with a number in them. */
export const END_OF_BATCH_POSITIONS: Uint8Array = Uint8Array.of(PREFIX.batchPosition + 1);
export const END_OF_BLOCKS: Uint8Array = Uint8Array.of(PREFIX.block + 1);
export const END_OF_CERTIFICATES: Uint8Array = Uint8Array.of(PREFIX.certificate + 1);
export const END_OF_BODIES_FROM: Uint8Array = Uint8Array.of(PREFIX.bodiesFrom + 1);

/** The number in a key that has one. */
export const numberInKey = (key: Uint8Array): number => decodeUint64(key, 1);

/** A final block as the index gets it. */
export interface IndexedBlock extends StoredBlock {
  /** The lowest log position at which a batch of this block can stand. */
  readonly bodiesFrom: LogPosition;
}

export function encodeBlockValue(block: StoredBlock): Uint8Array {
  return concatBytes(fromHex(block.hash), block.block);
}

export function decodeBlockValue(bytes: Uint8Array): { hash: BlockHash; block: Uint8Array } {
  return { hash: toHex(bytes.subarray(0, 32)), block: bytes.subarray(32) };
}
