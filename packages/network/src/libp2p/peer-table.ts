/** State that is kept for each peer, made when it is first asked for, forgotten for the peers that were longest silent. */

import type { PeerId } from '../api.ts';
import { MAX_REMEMBERED_PEERS } from '../limits.ts';

export class PeerTable<T> {
  readonly #create: (peer: PeerId) => T;
  readonly #entries = new Map<PeerId, T>();

  constructor(create: (peer: PeerId) => T) {
    this.#create = create;
  }

  clear(): void {
    this.#entries.clear();
  }

  get(peer: PeerId): T {
    const entry = this.#entries.get(peer) ?? this.#create(peer);
    this.#entries.delete(peer);
    this.#entries.set(peer, entry);
    if (this.#entries.size > MAX_REMEMBERED_PEERS) this.#entries.delete(this.#entries.keys().next().value!);
    return entry;
  }
}
