/** `Network` on libp2p: what a validator runs, or a node that only follows. */

import type { Connection, Stream } from '@libp2p/interface';
import type { ValidatorIndex } from '@squad/types';
import type {
  Channel,
  Network,
  NetworkHandlers,
  NetworkStatistics,
  NetworkValidator,
  PeerId,
  RequestProtocol,
} from '../api.ts';
import { checkFrame, maxFrameBytes, notConnected } from '../checks.ts';
import type { NetworkConfig } from '../config.ts';
import { encodeFrame } from '../framing.ts';
import { MAX_VALIDATOR_STREAMS_PER_CONNECTION } from '../limits.ts';
import { CHANNELS, REQUEST_PROTOCOLS } from '../protocols.ts';
import { ProtocolBudget } from '../rate-limit.ts';
import { readFrames } from './channel.ts';
import type { ValidatorEntry } from './directory.ts';
import { FeedServer } from './feed.ts';
import { FollowedValidators } from './followed.ts';
import { TransactionGossip } from './gossip.ts';
import { createHost, type Host, startHost } from './host.ts';
import { PeerKeeper } from './keeper.ts';
import { ValidatorLink } from './link.ts';
import { ask, RequestServer } from './requests.ts';

/** Bootstrap peers and peers on the link that a validator stays connected with; edge nodes come by themselves. */
const WANTED_PEERS = 16;

/** Creates a network that is not started. Rejects with a SquadError that names what of the configuration is wrong. */
export async function createLibp2pNetwork(config: NetworkConfig): Promise<Network> {
  return new Libp2pNetwork(config, await createHost(config, { floodPublish: false }));
}

/** What is held of another validator. */
interface Peer {
  /** Its place in the set of now. */
  validator: ValidatorEntry;
  readonly link: ValidatorLink;
  readonly budgets: Readonly<Record<Channel, ProtocolBudget>>;
  /** The stream that is read; a newer one replaces it. */
  readonly inbound: Partial<Record<Channel, Stream>>;
}

class Libp2pNetwork implements Network {
  readonly #config: NetworkConfig;
  readonly #handlers: NetworkHandlers;
  readonly #host: Host;
  /** The other validators; none for a node that only follows. */
  readonly #peers = new Map<PeerId, Peer>();
  readonly #requests: RequestServer;
  #isRunning = false;
  readonly #gossip: TransactionGossip;
  readonly #keeper: PeerKeeper;
  /** What there is instead of links as long as this node only follows. */
  readonly #followed: FollowedValidators;

  constructor(config: NetworkConfig, host: Host) {
    this.#config = config;
    this.#handlers = config.handlers;
    this.#host = host;
    const { libp2p, gate, limits } = host;
    this.#gossip = new TransactionGossip(host, (from, message) => config.handlers.onGossip(from, message));
    this.#keeper = new PeerKeeper(libp2p, gate, limits, WANTED_PEERS);
    this.#requests = new RequestServer(host, (from, protocol, request) =>
      config.handlers.onRequest(from, protocol, request),
    );
    this.#followed = new FollowedValidators(host, this.#keeper, config.handlers);
    this.#createPeers(config.self);
    libp2p.addEventListener('connection:open', ({ detail }) => {
      this.#peers.get(detail.remotePeer.toString())?.link.onConnection();
    });
  }

  get peerId(): PeerId {
    return this.#host.libp2p.peerId.toString();
  }

  get addresses(): readonly string[] {
    return this.#host.libp2p.getMultiaddrs().map(String);
  }

  get connectedValidators(): readonly ValidatorIndex[] {
    if (this.#followed.isActive) return this.#followed.connected;
    const connected: ValidatorIndex[] = [];
    for (const { link, validator } of this.#peers.values()) if (link.connected) connected.push(validator.index);
    return connected.sort((a, b) => a - b);
  }

  get formerValidators(): readonly PeerId[] {
    return this.otherPeers.filter((peer) => this.#host.directory.isOfOtherSet(peer));
  }

  get otherPeers(): readonly PeerId[] {
    const { libp2p, directory } = this.#host;
    return libp2p
      .getPeers()
      .map(String)
      .filter((peer) => !directory.has(peer));
  }

  get peerCount(): number {
    return this.#host.libp2p.getPeers().length;
  }

  send(to: ValidatorIndex | 'all', channel: Channel, frame: Uint8Array): void {
    checkFrame(channel, frame, this.#host.limits);
    const framed = encodeFrame(frame);
    if (to === 'all') {
      for (const { link } of this.#peers.values()) link.send(channel, framed);
      return;
    }
    this.#peers.get(this.#host.directory.at(to).peer)?.link.send(channel, framed);
  }

  async request(to: ValidatorIndex | PeerId, protocol: RequestProtocol, request: Uint8Array): Promise<Uint8Array> {
    const connection = connectionTo(this.#host, to);
    if (!this.#followed.isActive) return ask(this.#host, connection, protocol, request);
    return this.#followed.paced(to, () => ask(this.#host, connection, protocol, request));
  }

  publish(message: Uint8Array): Promise<number> {
    return this.#gossip.publish(message);
  }

  disconnect(peer: ValidatorIndex | PeerId, reason: string): void {
    const id = typeof peer === 'number' ? this.#host.directory.at(peer).peer : peer;
    this.#host.gate.refuse(id, 'disconnected', reason);
  }

  changeValidators(validators: readonly NetworkValidator[], self: ValidatorIndex | undefined): void {
    const { directory, gate } = this.#host;
    directory.change(validators);
    for (const [peerId, peer] of this.#peers) {
      const index = self === undefined ? undefined : directory.indexOf(peerId);
      if (index !== undefined) peer.validator = directory.at(index);
      else this.#dismiss(peerId, peer);
    }
    for (const { peer } of directory.entries) if (!directory.wasValidator(peer)) gate.pardon(peer);
    this.#requests.validatorsChanged();
    const kept = [...this.#peers.values()];
    this.#createPeers(self);
    // Never inside a call to the network.
    queueMicrotask(() => {
      for (const peer of kept) if (this.#isRunning && peer.link.connected) this.#tellConnected(peer);
    });
  }

  statistics(): NetworkStatistics {
    const queuedBytes = { consensus: 0, data: 0 };
    for (const { link } of this.#peers.values()) {
      for (const channel of CHANNELS) queuedBytes[channel] += link.queuedBytes(channel);
    }
    return this.#host.statistics.snapshot(queuedBytes);
  }

  async start(): Promise<void> {
    await this.#handleProtocols();
    await startHost(this.#host, this.#config.listen);
    this.#gossip.start();
    this.#keeper.start();
    this.#isRunning = true;
    for (const { link } of this.#peers.values()) link.start();
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    this.#keeper.stop();
    for (const { link } of this.#peers.values()) link.stop();
    await this.#host.libp2p.stop();
  }

  /** Links to the validators to which there are none yet. */
  #createPeers(self: ValidatorIndex | undefined): void {
    const { limits, directory } = this.#host;
    this.#followed.change(self === undefined);
    if (self === undefined) return;
    for (const validator of directory.entries) {
      if (validator.index === self || this.#peers.has(validator.peer)) continue;
      const link = new ValidatorLink({
        ...this.#host,
        validator: () => peer.validator,
        onConnected: () => this.#tellConnected(peer),
        onDisconnected: () => {
          const { index } = peer.validator;
          this.#host.call('onValidatorDisconnected', () => this.#handlers.onValidatorDisconnected(index));
        },
      });
      const budgets = {
        consensus: new ProtocolBudget(limits.consensusRate, Date.now()),
        data: new ProtocolBudget(limits.dataRate, Date.now()),
      };
      const peer: Peer = { validator, link, budgets, inbound: {} };
      this.#peers.set(validator.peer, peer);
      if (this.#isRunning) link.start();
    }
  }

  #tellConnected({ validator: { index } }: Peer): void {
    this.#host.call('onValidatorConnected', () => this.#handlers.onValidatorConnected(index));
  }

  /** It validates no more, or this node does not: nothing is told of it any more. */
  #dismiss(peerId: PeerId, peer: Peer): void {
    this.#peers.delete(peerId);
    peer.link.dismiss();
    for (const stream of Object.values(peer.inbound)) stream.abort(new Error('validators only'));
  }

  async #handleProtocols(): Promise<void> {
    const { libp2p, names, limits } = this.#host;
    const feeds = new FeedServer(this.#host, (feed) => this.#handlers.onFeed(feed));
    for (const channel of CHANNELS) {
      await libp2p.handle(names.channels[channel], (stream, from) => this.#accept(channel, stream, from), {
        maxInboundStreams: MAX_VALIDATOR_STREAMS_PER_CONNECTION,
      });
    }
    for (const protocol of REQUEST_PROTOCOLS) {
      await libp2p.handle(
        names.requests[protocol],
        (stream, from) => void this.#requests.serve(protocol, stream, from),
        {
          maxInboundStreams: limits.maxRequestsInFlightPerPeer + 1,
        },
      );
    }
    await libp2p.handle(names.feed, (stream, from) => feeds.serve(stream, from), {
      maxInboundStreams: limits.maxFeedsPerPeer + 1,
    });
  }

  /** A peer opened a channel to this node. Nothing is read from one that is no validator. */
  #accept(channel: Channel, stream: Stream, connection: Connection): void {
    const { directory, gate, statistics } = this.#host;
    const peerId = connection.remotePeer.toString();
    const peer = this.#peers.get(peerId);
    if (peer === undefined) {
      stream.abort(new Error('validators only'));
      // It may be in another epoch than this node: no fault of its.
      if (!directory.has(peerId) && !directory.isOfOtherSet(peerId)) gate.strike(peerId, 'notValidator');
      return;
    }
    const replaced = peer.inbound[channel];
    peer.inbound[channel] = stream;
    if (replaced !== undefined) {
      replaced.abort(new Error('replaced by a newer stream'));
      peer.link.onReopened(connection);
    }
    stream.addEventListener('close', () => {
      if (peer.inbound[channel] === stream) delete peer.inbound[channel];
    });
    stream.addEventListener('remoteCloseWrite', () => stream.abort(new Error('the sender closed the channel')));
    readFrames(stream, {
      maxFrameBytes: maxFrameBytes(channel, this.#host.limits),
      budget: peer.budgets[channel],
      onFrame: (frame) => {
        if (this.#peers.get(peerId) !== peer) return; // dismissed
        statistics.received(channel, frame.length);
        this.#host.call('onFrame', () => this.#handlers.onFrame(peer.validator.index, channel, frame));
      },
      onBroken: (error) => gate.refuse(peerId, 'frameTooLarge', error.message),
      onPaused: () => {
        statistics.readsPaused++;
      },
    });
  }
}

/** The newest open connection with a peer. Throws `NOT_CONNECTED`. */
function connectionTo(host: Host, to: ValidatorIndex | PeerId): Connection {
  const id = typeof to === 'number' ? host.directory.at(to).peer : to;
  const connection = host.libp2p
    .getConnections()
    .findLast(({ status, remotePeer }) => status === 'open' && remotePeer.toString() === id);
  if (connection !== undefined) return connection;
  throw notConnected(to);
}
