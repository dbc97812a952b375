/** Whom to ask for something, one after the other: likely holders first, those that lately gave no answer last. */

import type { PeerId } from '@squad/network';
import type { ValidatorIndex } from '@squad/types';
import { shuffled } from './shuffled.ts';

/** Requests after which one that gave no answer has its turn like the others again: it may cost a time-out. */
export const ASKS_UNTIL_FORGIVEN = 256;

export class AskOrder {
  readonly #silent = new Set<ValidatorIndex | PeerId>();
  #asks = 0;

  /** All of `connected`, in another order each time. */
  of<P extends ValidatorIndex | PeerId>(connected: readonly P[], holders: readonly P[]): P[] {
    const others = connected.filter((peer) => !holders.includes(peer));
    const peers = [...holders.filter((peer) => connected.includes(peer)), ...shuffled(others)];
    return [...peers.filter((peer) => !this.#silent.has(peer)), ...peers.filter((peer) => this.#silent.has(peer))];
  }

  /** Asks by `ask`; throws what that throws. */
  async ask<T>(peer: ValidatorIndex | PeerId, ask: () => Promise<T>): Promise<T> {
    if (++this.#asks % ASKS_UNTIL_FORGIVEN === 0) this.#silent.clear();
    try {
      const answer = await ask();
      this.#silent.delete(peer);
      return answer;
    } catch (error) {
      this.#silent.add(peer);
      throw error;
    }
  }
}
