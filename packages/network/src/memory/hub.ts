/**
 * Networks in one process, for tests: the same port as libp2p's, over a hub that delivers after a delay, loses what it is
 * told to lose and cuts links on demand. With an injected scheduler and random source a run repeats exactly.
 */

import type { EdgeNetwork, Network, PeerId } from '../api.ts';
import type { EdgeNetworkConfig, NetworkConfig } from '../config.ts';
import { MemoryEdgeNetwork } from './edge-network.ts';
import { MemoryNetwork } from './network.ts';
import { type MemoryPeer, MemorySession } from './session.ts';

export interface MemoryHubOptions {
  /** Runs a callback after a delay in milliseconds and returns what cancels it. Default: the process's timers. */
  readonly schedule?: (delayMs: number, callback: () => void) => () => void;
  /** Numbers in [0, 1), for loss. Default: Math.random. */
  readonly random?: () => number;
  /** Milliseconds on the way from one peer to another, asked for each message. Default: 0. Order is kept all the same. */
  readonly delayMs?: (from: PeerId, to: PeerId) => number;
  /** Share of the channel frames, requests and gossip that is lost, 0 to 1. Default: 0. */
  readonly loss?: number;
}

export class MemoryHub {
  readonly schedule: (delayMs: number, callback: () => void) => () => void;
  readonly delayMs: (from: PeerId, to: PeerId) => number;
  readonly #random: () => number;
  /** May be changed while the networks run. */
  loss: number;
  readonly #peers = new Map<PeerId, MemoryPeer>();
  readonly #sessions = new Map<string, MemorySession>();
  readonly #cut = new Set<string>();

  constructor(options: MemoryHubOptions = {}) {
    this.schedule = options.schedule ?? processTimers;
    this.delayMs = options.delayMs ?? (() => 0);
    this.#random = options.random ?? Math.random;
    this.loss = options.loss ?? 0;
  }

  createNetwork(config: NetworkConfig): Network {
    return new MemoryNetwork(this, config);
  }

  createEdgeNetwork(config: EdgeNetworkConfig): EdgeNetwork {
    return new MemoryEdgeNetwork(this, config);
  }

  /** Closes the link between two peers and keeps it closed. */
  cut(a: PeerId, b: PeerId): void {
    this.#cut.add(pair(a, b));
    this.#sessions.get(pair(a, b))?.close();
  }

  /** Undoes `cut`: the two find each other again. */
  heal(a: PeerId, b: PeerId): void {
    this.#cut.delete(pair(a, b));
    this.connect(a, b);
  }

  /** Whether this message is to be lost. */
  loses(): boolean {
    return this.loss > 0 && this.#random() < this.loss;
  }

  /** A peer has started: it meets all that run. */
  join(peer: MemoryPeer): void {
    this.#peers.set(peer.peerId, peer);
    for (const other of this.#peers.keys()) this.connect(peer.peerId, other);
  }

  leave(peer: MemoryPeer): void {
    if (this.#peers.get(peer.peerId) !== peer) return;
    this.#peers.delete(peer.peerId);
    for (const session of this.sessionsOf(peer.peerId)) session.close();
  }

  /** Connects two peers if both run, one dials the other, neither refuses, and the link is not cut. */
  connect(a: PeerId, b: PeerId): void {
    const first = this.#peers.get(a);
    const second = this.#peers.get(b);
    const key = pair(a, b);
    if (a === b || first === undefined || second === undefined) return;
    if (this.#sessions.has(key) || this.#cut.has(key) || first.refuses(b) || second.refuses(a)) return;
    if (first.networkId !== second.networkId || !(first.dials(b) || second.dials(a))) return;
    const session = new MemorySession(this, first, second, () => this.#sessions.delete(key));
    this.#sessions.set(key, session);
    session.announce();
  }

  session(a: PeerId, b: PeerId): MemorySession | undefined {
    return this.#sessions.get(pair(a, b));
  }

  sessionsOf(peer: PeerId): MemorySession[] {
    return [...this.#sessions.values()].filter(({ first, second }) => first.peerId === peer || second.peerId === peer);
  }
}

function pair(a: PeerId, b: PeerId): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

function processTimers(delayMs: number, callback: () => void): () => void {
  if (delayMs <= 0) {
    const handle = setImmediate(callback);
    return () => clearImmediate(handle);
  }
  const handle = setTimeout(callback, delayMs);
  return () => clearTimeout(handle);
}
