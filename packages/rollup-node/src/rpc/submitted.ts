/**
 * Transactions that were sent through this node and are not executed yet: so that a wallet's next nonce counts them, and
 * asking for them does not answer "unknown". Memory only; the sequencers hold the transactions themselves.
 */

import type { SignedTransaction } from '../execution/evm/transaction.ts';
import { keyOf } from '../execution/keccak.ts';
import { MAX_SUBMITTED_PER_SENDER, MAX_SUBMITTED_TRANSACTIONS, SUBMITTED_EXPIRY_MS } from './limits.ts';

export interface SubmittedTransaction {
  readonly hash: Uint8Array;
  readonly from: Uint8Array;
  readonly decoded: SignedTransaction;
}

interface Entry extends SubmittedTransaction {
  readonly expiresAtMs: number;
}

export class SubmittedTransactions {
  readonly #now: () => number;
  /** In order of arrival. */
  readonly #byHash = new Map<string, Entry>();
  readonly #nonces = new Map<string, Map<bigint, string>>();
  /** Nothing expires before: looking for the oldest takes time, as a map keeps the places of what was removed. */
  #nextExpiryMs = Number.NEGATIVE_INFINITY;

  constructor(now: () => number) {
    this.#now = now;
  }

  get size(): number {
    return this.#byHash.size;
  }

  add(transaction: SubmittedTransaction): void {
    this.#expire();
    const sender = keyOf(transaction.from);
    const nonces = this.#nonces.get(sender) ?? new Map<bigint, string>();
    if (nonces.size >= MAX_SUBMITTED_PER_SENDER) return;
    const key = keyOf(transaction.hash);
    this.#byHash.set(key, { ...transaction, expiresAtMs: this.#now() + SUBMITTED_EXPIRY_MS });
    this.#nonces.set(sender, nonces.set(transaction.decoded.nonce, key));
    if (this.#byHash.size > MAX_SUBMITTED_TRANSACTIONS) this.#remove(this.#byHash.keys().next().value!);
  }

  get(hash: Uint8Array): SubmittedTransaction | undefined {
    this.#expire();
    return this.#byHash.get(keyOf(hash));
  }

  /** The oldest, so many at most. */
  first(count: number): SubmittedTransaction[] {
    this.#expire();
    const first: SubmittedTransaction[] = [];
    for (const entry of this.#byHash.values()) {
      if (first.length >= count) break;
      first.push(entry);
    }
    return first;
  }

  of(from: Uint8Array): SubmittedTransaction[] {
    this.#expire();
    const keys = this.#nonces.get(keyOf(from))?.values() ?? [];
    return [...keys].flatMap((key) => this.#byHash.get(key) ?? []);
  }

  /** Executed, skipped or refused: no longer waiting. */
  remove(hash: Uint8Array): void {
    this.#remove(keyOf(hash));
  }

  /** The first nonce from `nonce` on that no waiting transaction of the sender uses. */
  nextNonce(from: Uint8Array, nonce: bigint): bigint {
    this.#expire();
    const nonces = this.#nonces.get(keyOf(from));
    let next = nonce;
    while (nonces?.has(next)) next++;
    return next;
  }

  #expire(): void {
    const now = this.#now();
    if (now < this.#nextExpiryMs) return;
    this.#nextExpiryMs = now + SUBMITTED_EXPIRY_MS;
    for (const [key, entry] of this.#byHash) {
      if (entry.expiresAtMs > now) {
        this.#nextExpiryMs = entry.expiresAtMs;
        return;
      }
      this.#remove(key);
    }
  }

  #remove(key: string): void {
    const entry = this.#byHash.get(key);
    if (entry === undefined) return;
    this.#byHash.delete(key);
    const sender = keyOf(entry.from);
    const nonces = this.#nonces.get(sender);
    if (nonces?.get(entry.decoded.nonce) === key) nonces.delete(entry.decoded.nonce);
    if (nonces?.size === 0) this.#nonces.delete(sender);
  }
}
