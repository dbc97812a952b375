/**
 * A run of the transaction index in memory: the first 8 bytes of each hash and the place, 16 bytes an entry, found by a
 * hash table over typed arrays. Nothing is allocated for a transaction: tens of thousands come in a second.
 *
 * An entry: prefix of the hash, 8 bytes | height less the run's base, u32 | batch index, u16 | transaction index, u16, all
 * big-endian.
 */

import { type Bytes32, HASH_PREFIX_BYTES, type Height } from '@squad/types';
import type { TransactionLocation } from '../api.ts';
import { encodeUint64 } from './uint64.ts';

export const ENTRY_BYTES = 16;
/** The run's base height, before the entries of a bucket in its value. */
export const BASE_BYTES = 8;
/** Hashes that begin with the same bits share a bucket: a key of the key-value store for each run. */
const BUCKET_BITS = 14;
export const BUCKETS: number = 2 ** BUCKET_BITS;

const WORD_BYTES = 4;
const BASE_WORDS = BASE_BYTES / WORD_BYTES;
const ENTRY_WORDS = ENTRY_BYTES / WORD_BYTES;

export class TransactionRun {
  readonly number: number;
  readonly base: Height;
  readonly #entries: Uint8Array;
  readonly #view: DataView;
  /** Newest entry of each chain, and for each entry the one before it: their index plus one, 0 for none. */
  readonly #heads: Int32Array;
  readonly #before: Int32Array;
  #count = 0;

  constructor(number: number, base: Height, capacity: number) {
    this.number = number;
    this.base = base;
    this.#entries = new Uint8Array(ENTRY_BYTES * capacity);
    this.#view = new DataView(this.#entries.buffer);
    this.#heads = new Int32Array(capacity);
    this.#before = new Int32Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  get capacity(): number {
    return this.#before.length;
  }

  /** All transactions of a batch, by the prefixes of their hashes, one after the other. There must be room for them. */
  add(height: Height, batchIndex: number, prefixes: Uint8Array): void {
    const source = new DataView(prefixes.buffer, prefixes.byteOffset, prefixes.byteLength);
    const count = prefixes.length / HASH_PREFIX_BYTES;
    for (let i = 0; i < count; i++) {
      const at = ENTRY_BYTES * this.#count;
      const start = source.getUint32(HASH_PREFIX_BYTES * i);
      this.#view.setUint32(at, start);
      this.#view.setUint32(at + 4, source.getUint32(HASH_PREFIX_BYTES * i + 4));
      this.#view.setUint32(at + 8, height - this.base);
      this.#view.setUint16(at + 12, batchIndex);
      this.#view.setUint16(at + 14, i);
      const chain = start % this.#heads.length;
      this.#before[this.#count] = this.#heads[chain]!;
      this.#count++;
      this.#heads[chain] = this.#count;
    }
  }

  /** Places of hashes that begin like this one. */
  find(hash: Bytes32): TransactionLocation[] {
    const view = new DataView(hash.buffer, hash.byteOffset, hash.byteLength);
    const found: TransactionLocation[] = [];
    let index = this.#heads[view.getUint32(0) % this.#heads.length]!;
    while (index > 0) {
      const location = entryAt(this.#entries, ENTRY_BYTES * (index - 1), this.base, hash);
      if (location !== undefined) found.push(location);
      index = this.#before[index - 1]!;
    }
    return found;
  }

  /** The value of each bucket that has entries. All are views of one piece of memory. */
  *buckets(): Iterable<{ readonly bucket: number; readonly value: Uint8Array }> {
    // A counting sort: how many entries each bucket has, where its value ends, then each entry to its place. In words of 4 bytes.
    const counts = new Uint32Array(BUCKETS);
    for (let i = 0; i < this.#count; i++) counts[this.#bucketAt(i)]!++;
    const ends = new Uint32Array(BUCKETS);
    let end = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      if (counts[bucket]! > 0) end += BASE_WORDS + ENTRY_WORDS * counts[bucket]!;
      ends[bucket] = end;
    }
    const values = new Uint32Array(end);
    const entries = new Uint32Array(this.#entries.buffer);
    const next = ends.map((at, bucket) => at - ENTRY_WORDS * counts[bucket]!);
    for (let i = 0; i < this.#count; i++) {
      const bucket = this.#bucketAt(i);
      const to = next[bucket]!;
      const from = ENTRY_WORDS * i;
      for (let word = 0; word < ENTRY_WORDS; word++) values[to + word] = entries[from + word]!;
      next[bucket] = to + ENTRY_WORDS;
    }
    const base = encodeUint64(this.base);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      if (counts[bucket] === 0) continue;
      const length = BASE_BYTES + ENTRY_BYTES * counts[bucket]!;
      const value = new Uint8Array(values.buffer, WORD_BYTES * ends[bucket]! - length, length);
      value.set(base);
      yield { bucket, value };
    }
  }

  #bucketAt(index: number): number {
    return this.#view.getUint16(ENTRY_BYTES * index) >>> (16 - BUCKET_BITS);
  }
}

export function bucketOf(hash: Bytes32): number {
  return ((hash[0]! << 8) | hash[1]!) >>> (16 - BUCKET_BITS);
}

/** The place in an entry, if its prefix is that of the hash. */
export function entryAt(
  entries: Uint8Array,
  offset: number,
  base: Height,
  hash: Bytes32,
): TransactionLocation | undefined {
  for (let byte = 0; byte < HASH_PREFIX_BYTES; byte++) if (entries[offset + byte] !== hash[byte]) return undefined;
  const view = new DataView(entries.buffer, entries.byteOffset + offset, ENTRY_BYTES);
  return { height: base + view.getUint32(8), batchIndex: view.getUint16(12), transactionIndex: view.getUint16(14) };
}
