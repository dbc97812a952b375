/** What both kinds of memory network share: joining the hub, requests, gossip, refusals. */

import { createNodeKey } from '@squad/crypto/node';
import { toHex, type ValidatorIndex } from '@squad/types';
import type { Channel, NetworkHandlers, NetworkStatistics, NetworkValidator, PeerId, RequestProtocol } from '../api.ts';
import { copyBytes } from '../bytes.ts';
import { checkGossipSize, notConnected, requestFailed, requestTimedOut, unknownValidator } from '../checks.ts';
import { type NetworkConfig, type NetworkLogger, SILENT_LOGGER } from '../config.ts';
import { type NetworkLimits, networkLimits } from '../limits.ts';
import { StatisticsCounter } from '../statistics.ts';
import type { MemoryFeed } from './feed.ts';
import type { MemoryHub } from './hub.ts';
import type { MemoryPeer, MemorySession } from './session.ts';

/** Gossip messages that are remembered as seen; the oldest are forgotten. */
const MAX_SEEN_MESSAGES = 16_384;

type NodeConfig = Omit<NetworkConfig, 'handlers'>;

interface NodeHandlers {
  readonly onRequest?: NetworkHandlers['onRequest'];
  readonly onGossip?: NetworkHandlers['onGossip'] | undefined;
}

/** The id of a node in memory networks, from its node public key. */
function peerIdOf(nodePublicKey: Uint8Array): PeerId {
  return `memory-${toHex(nodePublicKey).slice(2, 34)}`;
}

export abstract class MemoryNode implements MemoryPeer {
  readonly peerId: PeerId;
  readonly networkId: string;
  readonly limits: NetworkLimits;
  protected self: ValidatorIndex | undefined;
  readonly onRequest: NetworkHandlers['onRequest'] | undefined;
  protected readonly hub: MemoryHub;
  protected readonly counter = new StatisticsCounter();
  readonly #logger: NetworkLogger;
  #validators: readonly PeerId[];
  readonly #judge: NetworkHandlers['onGossip'] | undefined;
  readonly #former = new Set<PeerId>();
  readonly #seen = new Set<string>();
  readonly #refused = new Set<PeerId>();

  constructor(hub: MemoryHub, config: NodeConfig, handlers: NodeHandlers) {
    this.hub = hub;
    this.limits = networkLimits(config.limits);
    this.networkId = toHex(config.networkId);
    this.self = config.self;
    this.onRequest = handlers.onRequest;
    this.#judge = handlers.onGossip;
    this.#logger = config.logger ?? SILENT_LOGGER;
    for (const { nodePublicKey } of config.otherValidators ?? []) this.#former.add(peerIdOf(nodePublicKey));
    this.#validators = config.validators.map(({ nodePublicKey }) => peerIdOf(nodePublicKey));
    // No key pair is needed to play a validator.
    this.peerId =
      config.self === undefined ? peerIdOf(createNodeKey(config.nodeKeySeed).publicKey) : this.idOf(config.self);
  }

  abstract connected(session: MemorySession, other: MemoryPeer): void;
  abstract disconnected(session: MemorySession, other: MemoryPeer): void;
  abstract receive(from: MemoryPeer, channel: Channel, frame: Uint8Array): void;
  abstract receiveFeed(session: MemorySession, from: MemoryPeer): MemoryFeed | undefined;

  get addresses(): readonly string[] {
    return [`/memory/${this.peerId}`];
  }

  get peerCount(): number {
    return this.hub.sessionsOf(this.peerId).length;
  }

  get formerValidators(): readonly PeerId[] {
    return this.otherPeers.filter((peer) => this.#former.has(peer));
  }

  get otherPeers(): readonly PeerId[] {
    const peers = this.hub.sessionsOf(this.peerId).map((session) => session.other(this).peerId);
    return peers.filter((peer) => !this.#validators.includes(peer));
  }

  get listensToGossip(): boolean {
    return this.#judge !== undefined;
  }

  refuses(peer: PeerId): boolean {
    return this.#refused.has(peer);
  }

  dials(peer: PeerId): boolean {
    return this.#validators.includes(peer);
  }

  async request(to: ValidatorIndex | PeerId, protocol: RequestProtocol, request: Uint8Array): Promise<Uint8Array> {
    const session = this.sessionWith(to);
    this.counter.requestsSent++;
    try {
      return await this.#ask(session, protocol, copyBytes(request));
    } catch (error) {
      this.counter.requestsFailed++;
      throw error;
    }
  }

  async publish(message: Uint8Array): Promise<number> {
    checkGossipSize(message, this.limits.maxGossipMessageBytes);
    if (this.#listeners().length === 0 || this.#seen.has(toHex(message))) return 0;
    this.#remember(toHex(message));
    this.counter.gossipPublished++;
    return this.#spread(copyBytes(message), undefined);
  }

  receiveGossip(from: MemoryPeer, message: Uint8Array): void {
    const key = toHex(message);
    if (this.#judge === undefined || this.#seen.has(key)) return;
    this.#remember(key);
    this.#judge(from.peerId, message).then(
      (verdict) => {
        this.counter.gossip[verdict]++;
        if (verdict === 'accept') this.#spread(message, from);
      },
      (error: unknown) => this.#logger.warn({ error: String(error) }, 'gossip handler failed'),
    );
  }

  disconnect(peer: ValidatorIndex | PeerId, _reason: string): void {
    const id = typeof peer === 'number' ? this.idOf(peer) : peer;
    this.counter.refusals.disconnected++;
    this.#refused.add(id);
    this.hub.session(this.peerId, id)?.close();
    this.hub.schedule(this.limits.refusalMs, () => {
      this.#refused.delete(id);
      this.hub.connect(this.peerId, id);
    });
  }

  statistics(): NetworkStatistics {
    const queuedBytes = { consensus: 0, data: 0 };
    for (const session of this.hub.sessionsOf(this.peerId)) {
      queuedBytes.consensus += session.queuedBytes(session.other(this), 'consensus');
      queuedBytes.data += session.queuedBytes(session.other(this), 'data');
    }
    return this.counter.snapshot(queuedBytes);
  }

  async start(): Promise<void> {
    this.hub.join(this);
  }

  async stop(): Promise<void> {
    this.hub.leave(this);
  }

  protected changeSet(validators: readonly NetworkValidator[], self: ValidatorIndex | undefined): void {
    for (const peer of this.#validators) this.#former.add(peer);
    this.#validators = validators.map(({ nodePublicKey }) => peerIdOf(nodePublicKey));
    this.self = self;
    for (const peer of this.#validators) this.hub.connect(this.peerId, peer);
  }

  /** The place of a validator; undefined for any other peer. */
  protected indexOf(peer: PeerId): ValidatorIndex | undefined {
    const index = this.#validators.indexOf(peer);
    return index === -1 ? undefined : index;
  }

  protected idOf(index: ValidatorIndex): PeerId {
    const id = this.#validators[index];
    if (id === undefined) throw unknownValidator(index, this.#validators.length);
    return id;
  }

  protected sessionWith(to: ValidatorIndex | PeerId): MemorySession {
    const session = this.hub.session(this.peerId, typeof to === 'number' ? this.idOf(to) : to);
    if (session === undefined) throw notConnected(to);
    return session;
  }

  /** Calls a handler of the owner; what it throws is logged and goes no further. */
  protected call(handler: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#logger.warn({ handler, error: String(error) }, 'network handler failed');
    }
  }

  #ask(session: MemorySession, protocol: RequestProtocol, request: Uint8Array): Promise<Uint8Array> {
    const other = session.other(this);
    const { requestTimeoutMs, maxAnswerBytes } = this.limits;
    return new Promise((resolve, reject) => {
      const fail = (reason: string) => settle(() => reject(requestFailed(other.peerId, protocol, reason)));
      const settle = (how: () => void) => {
        cancelTimeout();
        cancelClosed();
        how();
      };
      const cancelTimeout = this.hub.schedule(requestTimeoutMs, () =>
        settle(() => reject(requestTimedOut(other.peerId, protocol, requestTimeoutMs))),
      );
      const cancelClosed = session.whenClosed(() => fail('the connection closed'));
      const { onRequest } = other;
      if (onRequest === undefined || request.length > other.limits.maxRequestBytes) return fail('refused');
      if (this.hub.loses()) return;
      session.after(this, other, () => {
        onRequest(this.peerId, protocol, request).then(
          (answer) => {
            if (answer.length > maxAnswerBytes) session.after(other, this, () => fail('the answer is too large'));
            else session.after(other, this, () => settle(() => resolve(copyBytes(answer))));
          },
          () => session.after(other, this, () => fail('the other side did not answer')),
        );
      });
    });
  }

  #listeners(): MemorySession[] {
    return this.hub.sessionsOf(this.peerId).filter((session) => session.other(this).listensToGossip);
  }

  #spread(message: Uint8Array, except: MemoryPeer | undefined): number {
    let reached = 0;
    for (const session of this.#listeners()) {
      const other = session.other(this);
      if (other === except) continue;
      reached++;
      if (!this.hub.loses()) session.after(this, other, () => other.receiveGossip(this, message));
    }
    return reached;
  }

  #remember(key: string): void {
    this.#seen.add(key);
    if (this.#seen.size > MAX_SEEN_MESSAGES) this.#seen.delete(this.#seen.values().next().value!);
  }
}
