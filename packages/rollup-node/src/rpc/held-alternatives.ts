/** The memory of filters and subscriptions for logs: each may name thousands of addresses and topics, and there may be thousands. */

import type { LogFilter } from '../execution/evm/log-matcher.ts';
import { refused } from './errors.ts';
import { MAX_HELD_ALTERNATIVES } from './limits.ts';

export class HeldAlternatives {
  #held = 0;

  /** Returns what gives its place back, to be called once. Throws `RpcError` `TOO_MANY_ALTERNATIVES`. */
  hold({ addresses, topics }: LogFilter): () => void {
    const count = addresses.length + topics.reduce((sum, choices) => sum + choices.length, 0);
    if (this.#held + count > MAX_HELD_ALTERNATIVES) {
      const message = `the filters of this node name ${MAX_HELD_ALTERNATIVES} addresses and topics already`;
      throw refused(message, 'TOO_MANY_ALTERNATIVES', 'Name fewer, or look with eth_getLogs from time to time.');
    }
    this.#held += count;
    return () => {
      this.#held -= count;
    };
  }
}
