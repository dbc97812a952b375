/** The connection of two peers of a memory hub: ordered channels with bounded queues, and closing that ends all that is under way. */

import type { Channel, NetworkHandlers, PeerId } from '../api.ts';
import type { NetworkLimits } from '../limits.ts';
import type { MemoryFeed } from './feed.ts';
import type { MemoryHub } from './hub.ts';

/** A node as its peers see it. */
export interface MemoryPeer {
  readonly peerId: PeerId;
  readonly networkId: string;
  readonly limits: NetworkLimits;
  /** What it answers to; undefined for an edge node, which is never asked. */
  readonly onRequest: NetworkHandlers['onRequest'] | undefined;
  readonly listensToGossip: boolean;
  refuses(peer: PeerId): boolean;
  /** Whether it would dial that peer: it is a validator that this one knows. */
  dials(peer: PeerId): boolean;
  connected(session: MemorySession, other: MemoryPeer): void;
  disconnected(session: MemorySession, other: MemoryPeer): void;
  receive(from: MemoryPeer, channel: Channel, frame: Uint8Array): void;
  receiveGossip(from: MemoryPeer, message: Uint8Array): void;
  /** This side's end of a feed that the other opens; undefined if it serves none. */
  receiveFeed(session: MemorySession, from: MemoryPeer): MemoryFeed | undefined;
}

interface Pipe {
  frames: Uint8Array[];
  bytes: number;
}

export class MemorySession {
  readonly first: MemoryPeer;
  readonly second: MemoryPeer;
  readonly #hub: MemoryHub;
  readonly #onClose: () => void;
  readonly #closing = new Set<() => void>();
  /** By receiver and channel. */
  readonly #pipes = new Map<string, Pipe>();
  #open = true;

  constructor(hub: MemoryHub, first: MemoryPeer, second: MemoryPeer, onClose: () => void) {
    this.#hub = hub;
    this.first = first;
    this.second = second;
    this.#onClose = onClose;
  }

  get open(): boolean {
    return this.#open;
  }

  other(peer: MemoryPeer): MemoryPeer {
    return peer === this.first ? this.second : this.first;
  }

  /** Tells both sides, each after its delay. */
  announce(): void {
    this.after(this.first, this.second, () => this.second.connected(this, this.first));
    this.after(this.second, this.first, () => this.first.connected(this, this.second));
  }

  /** Runs a callback once the way from one side to the other is over, if the session is still open then. */
  after(from: MemoryPeer, to: MemoryPeer, callback: () => void): void {
    this.#hub.schedule(this.#hub.delayMs(from.peerId, to.peerId), () => {
      if (this.#open) callback();
    });
  }

  /** Calls back when the session closes; returns what cancels that. */
  whenClosed(callback: () => void): () => void {
    this.#closing.add(callback);
    return () => this.#closing.delete(callback);
  }

  queuedBytes(to: MemoryPeer, channel: Channel): number {
    return this.#pipes.get(`${to.peerId} ${channel}`)?.bytes ?? 0;
  }

  /** Sends a frame; returns how many were dropped for it. */
  send(from: MemoryPeer, channel: Channel, frame: Uint8Array, maxBytes: number): number {
    if (this.#hub.loses()) return 0;
    const to = this.other(from);
    const pipe = this.#pipe(to, channel);
    pipe.frames.push(frame);
    pipe.bytes += frame.length;
    let dropped = 0;
    while (pipe.bytes > maxBytes && pipe.frames.length > 1) {
      pipe.bytes -= pipe.frames.shift()!.length;
      dropped++;
    }
    // Whichever delay is over first delivers the oldest frame: delays may differ, the order may not.
    this.after(from, to, () => {
      const oldest = pipe.frames.shift();
      if (oldest === undefined) return;
      pipe.bytes -= oldest.length;
      to.receive(from, channel, oldest);
    });
    return dropped;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#onClose();
    for (const pipe of this.#pipes.values()) pipe.frames = [];
    for (const callback of this.#closing) callback();
    this.#closing.clear();
    for (const peer of [this.first, this.second]) peer.disconnected(this, this.other(peer));
  }

  #pipe(to: MemoryPeer, channel: Channel): Pipe {
    const key = `${to.peerId} ${channel}`;
    let pipe = this.#pipes.get(key);
    if (pipe === undefined) {
      pipe = { frames: [], bytes: 0 };
      this.#pipes.set(key, pipe);
    }
    return pipe;
  }
}
