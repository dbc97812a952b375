/**
 * The validators as one sees them that is none of them: no channels, some open connections, and requests. It dials them, keeps
 * within what they allow an edge peer, and so is never struck for asking too much.
 */

import type { ValidatorIndex } from '@squad/types';
import type { NetworkHandlers, PeerId } from '../api.ts';
import type { ProtocolRate, Rate } from '../limits.ts';
import { ProtocolBudget } from '../rate-limit.ts';
import type { Host } from './host.ts';
import type { PeerKeeper } from './keeper.ts';
import { PeerTable } from './peer-table.ts';

/** Of the rate that a validator grants: its clock and this one's are not the same. */
const SHARE_OF_RATE = 0.8;

export class FollowedValidators {
  readonly #host: Host;
  readonly #keeper: PeerKeeper;
  readonly #handlers: NetworkHandlers;
  readonly #connected = new Set<PeerId>();
  readonly #budgets: PeerTable<ProtocolBudget>;
  #isActive = false;

  constructor(host: Host, keeper: PeerKeeper, handlers: NetworkHandlers) {
    this.#host = host;
    this.#keeper = keeper;
    this.#handlers = handlers;
    const rate = scaled(host.limits.edgeRequestRate);
    this.#budgets = new PeerTable(() => new ProtocolBudget(rate, Date.now()));
    host.libp2p.addEventListener('peer:connect', ({ detail }) => this.#onConnected(detail.toString()));
    host.libp2p.addEventListener('peer:disconnect', ({ detail }) => this.#onDisconnected(detail.toString()));
  }

  /** Whether this node follows now. */
  get isActive(): boolean {
    return this.#isActive;
  }

  get connected(): readonly ValidatorIndex[] {
    const indices = [...this.#connected].map((peer) => this.#host.directory.indexOf(peer));
    return indices.filter((index) => index !== undefined).sort((a, b) => a - b);
  }

  /** The set changed, or whether this node is in it. Those who are connected already are told behind the call. */
  change(isActive: boolean): void {
    const { libp2p, directory } = this.#host;
    this.#isActive = isActive;
    this.#connected.clear();
    if (!isActive) return;
    // Each node begins with another validator, so that they spread over the set.
    const { entries } = directory;
    const first = (libp2p.peerId.toMultihash().digest.at(-1) ?? 0) % Math.max(1, entries.length);
    for (const { peer, addresses } of [...entries.slice(first), ...entries.slice(0, first)]) {
      if (addresses.length > 0) this.#keeper.add(peer, addresses);
    }
    queueMicrotask(() => {
      for (const peer of libp2p.getPeers()) this.#onConnected(peer.toString());
    });
  }

  /** Asks once the validator grants another request. */
  async paced(to: ValidatorIndex | PeerId, ask: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const budget = this.#budgets.get(typeof to === 'number' ? this.#host.directory.at(to).peer : to);
    const waitMs = budget.take(1, 0, Date.now());
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const answer = await ask();
    budget.take(0, answer.length, Date.now());
    return answer;
  }

  #onConnected(peer: PeerId): void {
    const index = this.#host.directory.indexOf(peer);
    if (!this.#isActive || index === undefined || this.#connected.has(peer)) return;
    this.#connected.add(peer);
    this.#host.call('onValidatorConnected', () => this.#handlers.onValidatorConnected(index));
  }

  #onDisconnected(peer: PeerId): void {
    const index = this.#host.directory.indexOf(peer);
    if (!this.#connected.delete(peer) || index === undefined) return;
    this.#host.call('onValidatorDisconnected', () => this.#handlers.onValidatorDisconnected(index));
  }
}

function scaled({ frames, bytes }: ProtocolRate): ProtocolRate {
  const scale = (rate: Rate): Rate => ({
    perSecond: SHARE_OF_RATE * rate.perSecond,
    burst: SHARE_OF_RATE * rate.burst,
  });
  return { frames: scale(frames), bytes: scale(bytes) };
}
