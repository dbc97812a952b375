/** What derivation tells its listeners. They are called at once, in order; one that throws does not disturb the others. */

import type { Bytes32, Height } from '@squad/types';
import type { SkippedTransaction } from '../execution/api.ts';

export interface DerivationEventMap {
  /** A rollup block became durable: its number. */
  latest: number;
  /** A soft block was applied. */
  pending: undefined;
  /** A transaction was executed, soft or final: its hash. Again, if it had to be executed anew. */
  transaction: Bytes32;
  skipped: SkippedTransaction;
  /** The soft order changed from this sequencer height on. */
  reorganised: { readonly height: Height };
}

export class DerivationEvents {
  readonly #listeners = new Map<keyof DerivationEventMap, Set<(value: never) => void>>();

  /** Returns the function that ends the subscription. */
  on<K extends keyof DerivationEventMap>(kind: K, listener: (value: DerivationEventMap[K]) => void): () => void {
    const listeners = this.#listeners.get(kind) ?? new Set();
    this.#listeners.set(kind, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  emit<K extends keyof DerivationEventMap>(kind: K, value: DerivationEventMap[K]): void {
    for (const listener of this.#listeners.get(kind) ?? []) {
      try {
        (listener as (value: DerivationEventMap[K]) => void)(value);
      } catch {
        // A listener's fault is its own: derivation must go on.
      }
    }
  }
}
