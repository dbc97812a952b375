/** Keeps a node in touch with a few peers that it was told of: bootstrap addresses, peers found on the link, validators. */

import type { Libp2p } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { PeerId } from '../api.ts';
import type { NetworkLimits } from '../limits.ts';
import type { PeerGate } from './gate.ts';
import { Redial } from './redial.ts';

/** Peers that may be dialed, the oldest forgotten beyond it. */
const MAX_CANDIDATES = 256;
const CHECK_INTERVAL_MS = 1_000;

interface Candidate {
  readonly addresses: readonly Multiaddr[];
  /** Dialed again no earlier than this. */
  notBeforeMs: number;
  waitMs: number;
}

export class PeerKeeper {
  readonly #libp2p: Libp2p;
  readonly #gate: PeerGate;
  readonly #limits: NetworkLimits;
  readonly #wantedPeers: number;
  readonly #candidates = new Map<PeerId, Candidate>();
  readonly #check: Redial;
  #stopped = false;

  constructor(libp2p: Libp2p, gate: PeerGate, limits: NetworkLimits, wantedPeers: number) {
    this.#libp2p = libp2p;
    this.#gate = gate;
    this.#limits = limits;
    this.#wantedPeers = wantedPeers;
    this.#check = new Redial(CHECK_INTERVAL_MS, CHECK_INTERVAL_MS);
    libp2p.addEventListener('peer:discovery', ({ detail }) => {
      if (detail.multiaddrs.length > 0) this.add(detail.id.toString(), detail.multiaddrs);
    });
  }

  add(peer: PeerId, addresses: readonly Multiaddr[]): void {
    if (this.#candidates.has(peer) || peer === this.#libp2p.peerId.toString()) return;
    this.#candidates.set(peer, { addresses, notBeforeMs: 0, waitMs: this.#limits.firstRedialMs });
    if (this.#candidates.size > MAX_CANDIDATES) this.#candidates.delete(this.#candidates.keys().next().value!);
    if (this.#libp2p.status === 'started') this.#check.at(0, () => this.#run());
  }

  start(): void {
    this.#run();
  }

  stop(): void {
    this.#stopped = true;
    this.#check.stop();
  }

  #run(): void {
    if (this.#stopped) return;
    const connected = new Set(this.#libp2p.getPeers().map(String));
    let missing = this.#wantedPeers - [...this.#candidates.keys()].filter((peer) => connected.has(peer)).length;
    const now = Date.now();
    for (const [peer, candidate] of this.#candidates) {
      if (missing <= 0) break;
      if (connected.has(peer) || candidate.notBeforeMs > now || this.#gate.isRefused(peer)) continue;
      missing--;
      candidate.waitMs = Math.min(this.#limits.lastRedialMs, candidate.waitMs * 2);
      candidate.notBeforeMs = now + candidate.waitMs * (0.5 + Math.random() / 2);
      void this.#dial(candidate);
    }
    this.#check.schedule(() => this.#run());
  }

  async #dial(candidate: Candidate): Promise<void> {
    try {
      const signal = AbortSignal.timeout(this.#limits.handshakeTimeoutMs);
      await this.#libp2p.dial([...candidate.addresses], { signal });
      candidate.waitMs = this.#limits.firstRedialMs;
    } catch {
      // Tried again later; that a peer is away is no news.
    }
  }
}
