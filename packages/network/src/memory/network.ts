/** `Network` on a memory hub. */

import type { ValidatorIndex } from '@squad/types';
import type { Channel, Network, NetworkHandlers, NetworkValidator, PeerId } from '../api.ts';
import { copyBytes } from '../bytes.ts';
import { checkFrame } from '../checks.ts';
import type { NetworkConfig } from '../config.ts';
import { MemoryFeed } from './feed.ts';
import type { MemoryHub } from './hub.ts';
import { MemoryNode } from './node.ts';
import type { MemoryPeer, MemorySession } from './session.ts';

export class MemoryNetwork extends MemoryNode implements Network {
  readonly #handlers: NetworkHandlers;
  /** With the other validators. */
  readonly #sessions = new Map<PeerId, MemorySession>();
  readonly #feedsOf = new Map<MemoryPeer, number>();

  constructor(hub: MemoryHub, config: NetworkConfig) {
    const { handlers } = config;
    super(hub, config, {
      onRequest: async (from, protocol, request) => {
        const answer = await handlers.onRequest(from, protocol, request);
        this.counter.requestsAnswered++;
        return answer;
      },
      onGossip: (from, message) => handlers.onGossip(from, message),
    });
    this.#handlers = handlers;
  }

  get connectedValidators(): readonly ValidatorIndex[] {
    return [...this.#sessions.keys()].map((peer) => this.indexOf(peer)!).sort((a, b) => a - b);
  }

  send(to: ValidatorIndex | 'all', channel: Channel, frame: Uint8Array): void {
    checkFrame(channel, frame, this.limits);
    if (this.self === undefined) return; // it has no channels
    const copy = copyBytes(frame);
    if (to === 'all') {
      for (const session of this.#sessions.values()) this.#send(session, channel, copy);
      return;
    }
    const session = this.#sessions.get(this.idOf(to));
    if (session !== undefined) this.#send(session, channel, copy);
    else if (to !== this.self) this.counter.channels[channel].framesDropped++;
  }

  changeValidators(validators: readonly NetworkValidator[], self: ValidatorIndex | undefined): void {
    this.changeSet(validators, self);
    this.#sessions.clear();
    for (const session of this.hub.sessionsOf(this.peerId)) {
      this.hub.schedule(0, () => {
        if (session.open) this.connected(session, session.other(this));
      });
    }
  }

  connected(session: MemorySession, { peerId }: MemoryPeer): void {
    const index = this.indexOf(peerId);
    if (index === undefined || this.#sessions.get(peerId) === session) return;
    this.#sessions.set(peerId, session);
    this.call('onValidatorConnected', () => this.#handlers.onValidatorConnected(index));
  }

  disconnected(session: MemorySession, { peerId }: MemoryPeer): void {
    const index = this.indexOf(peerId);
    if (index === undefined || this.#sessions.get(peerId) !== session) return;
    this.#sessions.delete(peerId);
    this.call('onValidatorDisconnected', () => this.#handlers.onValidatorDisconnected(index));
  }

  receive(from: MemoryPeer, channel: Channel, frame: Uint8Array): void {
    const index = this.indexOf(from.peerId);
    if (index === undefined || this.self === undefined) return;
    this.counter.received(channel, frame.length);
    this.call('onFrame', () => this.#handlers.onFrame(index, channel, frame));
  }

  receiveFeed(session: MemorySession, from: MemoryPeer): MemoryFeed | undefined {
    const feeds = this.#feedsOf.get(from) ?? 0;
    if (feeds >= this.limits.maxFeedsPerPeer || this.counter.feedsOpen >= this.limits.maxFeeds) {
      this.counter.refusals.tooManyFeeds++;
      return undefined;
    }
    this.#feedsOf.set(from, feeds + 1);
    this.counter.feedsOpen++;
    const feed = new MemoryFeed(session, this, this.limits.maxFeedFrameBytes, () => {
      this.counter.feedsOpen--;
      const left = (this.#feedsOf.get(from) ?? 1) - 1;
      if (left > 0) this.#feedsOf.set(from, left);
      else this.#feedsOf.delete(from);
    });
    this.call('onFeed', () => this.#handlers.onFeed(feed));
    return feed;
  }

  #send(session: MemorySession, channel: Channel, frame: Uint8Array): void {
    const maxBytes = channel === 'consensus' ? this.limits.maxConsensusQueueBytes : this.limits.maxDataQueueBytes;
    this.counter.sent(channel, frame.length);
    this.counter.channels[channel].framesDropped += session.send(this, channel, frame, maxBytes);
  }
}
