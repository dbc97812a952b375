/** The transactions that derivation left out, the newest ones, for those who ask what became of theirs. */

import type { SkippedTransaction } from '../execution/api.ts';
import { keyOf } from '../execution/keccak.ts';

/** Skipped transactions that are remembered; the oldest are forgotten first. Lost at a restart. */
export const MAX_SKIPPED_TRANSACTIONS = 16_384;

export class SkippedTransactions {
  readonly #byHash = new Map<string, SkippedTransaction>();
  /** How many were ever added in this process. */
  total = 0;

  add(transaction: SkippedTransaction): void {
    const key = keyOf(transaction.hash);
    this.#byHash.delete(key);
    this.#byHash.set(key, transaction);
    this.total++;
    if (this.#byHash.size > MAX_SKIPPED_TRANSACTIONS) {
      for (const oldest of this.#byHash.keys()) {
        this.#byHash.delete(oldest);
        break;
      }
    }
  }

  get(hash: Uint8Array): SkippedTransaction | undefined {
    return this.#byHash.get(keyOf(hash));
  }
}
