/**
 * A run of the transaction index in memory: the first 8 bytes of each hash and the place, 16 bytes an entry, found by a
 * hash table over typed arrays. Nothing is allocated for a transaction that comes in: there are tens of thousands in a second.
 * The table goes by how hashes begin, so that a bucket is a row of its chains, and a full run needs no sorting.
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

export class TransactionRun {
  readonly number: number;
  readonly base: Height;
  readonly #entries: Uint8Array;
  readonly #view: DataView;
  readonly #words: Uint32Array;
  /** Of how hashes begin, the bits that name a chain. */
  readonly #chainBits: number;
  /** Newest entry of each chain, and for each entry the one before it: their index plus one, 0 for none. */
  readonly #heads: Int32Array;
  readonly #before: Int32Array;
  #count = 0;

  constructor(number: number, base: Height, capacity: number) {
    this.number = number;
    this.base = base;
    this.#entries = new Uint8Array(ENTRY_BYTES * capacity);
    this.#view = new DataView(this.#entries.buffer);
    this.#words = new Uint32Array(this.#entries.buffer);
    this.#chainBits = Math.max(BUCKET_BITS, Math.ceil(Math.log2(capacity)));
    this.#heads = new Int32Array(2 ** this.#chainBits);
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
      const chain = this.#chainOf(start);
      this.#before[this.#count] = this.#heads[chain]!;
      this.#count++;
      this.#heads[chain] = this.#count;
    }
  }

  /** Places of hashes that begin like this one. */
  find(hash: Bytes32): TransactionLocation[] {
    const view = new DataView(hash.buffer, hash.byteOffset, hash.byteLength);
    const found: TransactionLocation[] = [];
    let index = this.#heads[this.#chainOf(view.getUint32(0))]!;
    while (index > 0) {
      const location = entryAt(this.#entries, ENTRY_BYTES * (index - 1), this.base, hash);
      if (location !== undefined) found.push(location);
      index = this.#before[index - 1]!;
    }
    return found;
  }

  /** The entries of a bucket as its value, the newest first in each chain; undefined if it has none. */
  bucket(bucket: number): Uint8Array | undefined {
    const chains = 2 ** (this.#chainBits - BUCKET_BITS);
    const indexes: number[] = [];
    for (let chain = chains * bucket; chain < chains * (bucket + 1); chain++) {
      for (let index = this.#heads[chain]!; index > 0; index = this.#before[index - 1]!) indexes.push(index - 1);
    }
    if (indexes.length === 0) return undefined;
    const value = new Uint8Array(BASE_BYTES + ENTRY_BYTES * indexes.length);
    value.set(encodeUint64(this.base));
    const words = new Uint32Array(value.buffer);
    let to = BASE_BYTES / WORD_BYTES;
    for (const index of indexes) {
      const from = (ENTRY_BYTES / WORD_BYTES) * index;
      for (let word = 0; word < ENTRY_BYTES / WORD_BYTES; word++) words[to++] = this.#words[from + word]!;
    }
    return value;
  }

  #chainOf(start: number): number {
    return start >>> (32 - this.#chainBits);
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
