/**
 * The network as the rest of the node sees it. Implemented on libp2p (TCP, TLS, yamux, gossipsub) for processes,
 * and by `MemoryHub`, its in-memory twin, for tests. Bytes from peers arrive as they came: whoever handles them decodes
 * and checks. Frames within their size limit only; a peer that breaks a limit is disconnected before a handler sees it.
 */

import type { ValidatorIndex } from '@squad/types';

/** A libp2p peer id, base58 or CID text. */
export type PeerId = string;

/** Two lanes of one validator channel: votes never queue behind bodies. Each is a libp2p stream of its own. */
export type Channel = 'consensus' | 'data';

/** Request/response protocols; both sides of each are length-prefixed, one request and one answer a stream. */
export type RequestProtocol = 'batches' | 'block' | 'range' | 'handOver';

/** A validator as the network needs it; `GenesisValidator` has both fields, its key in hex. */
export interface NetworkValidator {
  /** Raw Ed25519 public key, 32 bytes: the libp2p identity. */
  readonly nodePublicKey: Uint8Array;
  /** Multiaddrs to dial, such as /ip4/10.0.0.1/tcp/9000; a trailing /p2p part is replaced. */
  readonly addresses: readonly string[];
}

export interface Network {
  readonly peerId: PeerId;
  /** Full multiaddrs with /p2p, as bound. */
  readonly addresses: readonly string[];
  /** Validators whose channel is open now, ascending. */
  readonly connectedValidators: readonly ValidatorIndex[];
  /** Connected peers that were validators before, or are of another set that is known: they may hold what those of now do not. */
  readonly formerValidators: readonly PeerId[];
  /** Connected peers that are no validators now: former and later ones, and edge peers. */
  readonly otherPeers: readonly PeerId[];
  /** All connected peers, edge peers included. */
  readonly peerCount: number;

  /**
   * Sends a frame to one validator (or to all others). The frame is copied: the caller may reuse it. Never blocks: if the
   * peer's queue for this channel is beyond its limit the oldest frames are dropped and counted; the protocol recovers what
   * is lost. Not connected: dropped.
   */
  send(to: ValidatorIndex | 'all', channel: Channel, frame: Uint8Array): void;

  /** Asks a validator, or another connected peer. Rejects with a SquadError (`REQUEST_TIMEOUT`, `REQUEST_FAILED`, `NOT_CONNECTED`). */
  request(to: ValidatorIndex | PeerId, protocol: RequestProtocol, request: Uint8Array): Promise<Uint8Array>;

  /**
   * Publishes transactions to the network's gossip topic (edge peers and validators alike). Resolves with the number of
   * peers that it was handed to: 0 if nobody listens yet, or if the same bytes were seen before. Rejects with a
   * SquadError `GOSSIP_TOO_LARGE`.
   */
  publish(message: Uint8Array): Promise<number>;

  /** Closes all connections to a peer that misbehaved and refuses it for a while. */
  disconnect(peer: ValidatorIndex | PeerId, reason: string): void;

  /**
   * An epoch begins (R22): from now on positions are those of this set, in what is asked of the network and in what it
   * tells. Channels with those who stay are kept; of each that is open `onValidatorConnected` tells once more. Throws as
   * `createNetwork` rejects.
   */
  changeValidators(validators: readonly NetworkValidator[], self: ValidatorIndex | undefined): void;

  /** What was sent, received, dropped and refused since the start: a snapshot. */
  statistics(): NetworkStatistics;

  start(): Promise<void>;
  /** Closes all connections. A node that was stopped is not started again; create another. */
  stop(): Promise<void>;
}

export interface ChannelStatistics {
  /** Frames that were queued for a connected validator, once for each. */
  readonly framesSent: number;
  readonly bytesSent: number;
  readonly framesReceived: number;
  readonly bytesReceived: number;
  /** Frames that were dropped because a queue was full or a validator not connected. */
  readonly framesDropped: number;
  /** Bytes that wait in queues now, over all validators. */
  readonly queuedBytes: number;
}

/** Why a peer, or what it did, was turned away. */
export const REFUSAL_REASONS = [
  'notValidator',
  'frameTooLarge',
  'rate',
  'tooManyRequests',
  'tooManyFeeds',
  'requestInvalid',
  'gossipRejected',
  'refusedPeer',
  'tooManyConnections',
  'disconnected',
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

export interface NetworkStatistics {
  readonly channels: Readonly<Record<Channel, ChannelStatistics>>;
  readonly requestsSent: number;
  readonly requestsFailed: number;
  readonly requestsAnswered: number;
  readonly feedsOpen: number;
  readonly gossipPublished: number;
  readonly gossipReceived: Readonly<Record<GossipVerdict, number>>;
  readonly refusals: Readonly<Record<RefusalReason, number>>;
  /** Times that reading from a validator was paused because it sent faster than its rate. */
  readonly readsPaused: number;
}

/** What a gossip message is worth: forwarded, dropped, or dropped with blame on who sent it. */
export type GossipVerdict = 'accept' | 'ignore' | 'reject';

/**
 * What the network tells its owner. Handlers are called from the event loop, one at a time, never inside a call to the
 * network; one that throws is logged and does not harm the network.
 */
export interface NetworkHandlers {
  onFrame(from: ValidatorIndex, channel: Channel, frame: Uint8Array): void;
  onValidatorConnected(peer: ValidatorIndex): void;
  onValidatorDisconnected(peer: ValidatorIndex): void;
  /** Answers a request of a validator or an edge peer; a rejection closes the stream. */
  onRequest(from: PeerId, protocol: RequestProtocol, request: Uint8Array): Promise<Uint8Array>;
  onGossip(from: PeerId, message: Uint8Array): Promise<GossipVerdict>;
  /** A rollup node opened a feed. The stream lives until either side closes it. */
  onFeed(stream: FeedStream): void;
}

/** A framed, ordered, two-way stream between a sequencer and a rollup node. */
export interface FeedStream {
  readonly peer: PeerId;
  /** Resolves when the frame is handed over within the stream's send window; rejects once closed. */
  send(frame: Uint8Array): Promise<void>;
  /** Frames from the other side; ends when the stream closes. */
  frames(): AsyncIterable<Uint8Array>;
  close(): void;
}

/** What only the edge (a rollup node) uses: it is no validator and opens feeds. */
export interface EdgeNetwork
  extends Pick<
    Network,
    'peerId' | 'addresses' | 'peerCount' | 'publish' | 'disconnect' | 'statistics' | 'start' | 'stop'
  > {
  /**
   * Opens a feed to a validator, whose identity is checked. Rejects with a SquadError
   * (`NOT_CONNECTED`, `FEED_FAILED`).
   */
  openFeed(to: ValidatorIndex): Promise<FeedStream>;
  request(to: ValidatorIndex, protocol: RequestProtocol, request: Uint8Array): Promise<Uint8Array>;
  /** From now on positions are those of this set. What is open stays so. Throws as `createEdgeNetwork` rejects. */
  changeValidators(validators: readonly NetworkValidator[]): void;
}
