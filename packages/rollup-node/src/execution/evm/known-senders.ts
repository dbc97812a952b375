/**
 * Senders of transactions that came through this node's own door and were not executed yet. Recovering a sender is most of
 * what a transfer costs: it is done once, where it is first needed.
 */

import { keyOf } from '../keccak.ts';

/** Senders that are remembered; the oldest are forgotten first, and recovered again. */
export const MAX_KNOWN_SENDERS = 16_384;

export class KnownSenders {
  /** By the transaction's hash, which covers its signature. */
  readonly #byHash = new Map<string, Uint8Array>();

  get size(): number {
    return this.#byHash.size;
  }

  add(transactionHash: Uint8Array, sender: Uint8Array): void {
    this.#byHash.set(keyOf(transactionHash), sender);
    if (this.#byHash.size > MAX_KNOWN_SENDERS) this.#byHash.delete(this.#byHash.keys().next().value!);
  }

  /** The sender, which is forgotten with that. */
  take(transactionHash: Uint8Array): Uint8Array | undefined {
    const key = keyOf(transactionHash);
    const sender = this.#byHash.get(key);
    if (sender !== undefined) this.#byHash.delete(key);
    return sender;
  }
}
