/**
 * How the hashes of batches' transactions begin, from when a batch is taken in until it is indexed. Whoever made the batch
 * hashed its transactions and says so with it; the index believes it, as whoever looks a transaction up checks what it finds.
 * A liar could only hide its own batches' transactions from look-ups at other nodes, and one of each batch is checked.
 */

import { keccak256 } from '@squad/crypto/node';
import { type BatchDigest, bodyTransaction, bodyTransactions, equalBytes, HASH_PREFIX_BYTES } from '@squad/types';

/** Bytes of prefixes that are kept; the oldest go beyond it, and their transactions are hashed here. */
export const MAX_HASH_PREFIX_BYTES: number = 16 * 1024 * 1024;

export class HashPrefixes {
  readonly #byDigest = new Map<BatchDigest, Uint8Array>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  keep(digest: BatchDigest, prefixes: Uint8Array): void {
    if (this.#byDigest.has(digest)) return;
    this.#byDigest.set(digest, prefixes);
    this.#bytes += prefixes.length;
    for (const oldest of this.#byDigest.keys()) {
      if (this.#bytes <= MAX_HASH_PREFIX_BYTES) return;
      this.take(oldest);
    }
  }

  /** Hands them out once. */
  take(digest: BatchDigest): Uint8Array | undefined {
    const prefixes = this.#byDigest.get(digest);
    if (prefixes === undefined) return undefined;
    this.#byDigest.delete(digest);
    this.#bytes -= prefixes.length;
    return prefixes;
  }
}

/** Whether the prefix at one place, chosen by `random` in [0, 1), is that of the transaction there. */
export function isPlausible(body: Uint8Array, prefixes: Uint8Array, random: number): boolean {
  const index = Math.floor((random * prefixes.length) / HASH_PREFIX_BYTES);
  const hash = keccak256(bodyTransaction(body, index));
  const start = HASH_PREFIX_BYTES * index;
  return equalBytes(hash.subarray(0, HASH_PREFIX_BYTES), prefixes.subarray(start, start + HASH_PREFIX_BYTES));
}

/** Of all transactions of a body, by hashing them. */
export function hashPrefixesOf(body: Uint8Array): Uint8Array {
  const transactions = bodyTransactions(body);
  const prefixes = new Uint8Array(HASH_PREFIX_BYTES * transactions.length);
  for (const [i, transaction] of transactions.entries()) {
    prefixes.set(keccak256(transaction).subarray(0, HASH_PREFIX_BYTES), HASH_PREFIX_BYTES * i);
  }
  return prefixes;
}
