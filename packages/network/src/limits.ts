/**
 * Bounds on all that a peer can make this process hold or do (R23). The defaults are exported under the names that
 * LIMITS.md lists; `NetworkLimits` overrides them for one node.
 */

import { SquadError } from '@squad/types';

const KIB = 1024;
const MIB = 1024 * 1024;

/** Bytes of one frame on the consensus channel. At limit + 1: the sender is disconnected and refused for a while. */
export const MAX_CONSENSUS_FRAME_BYTES = 2 * MIB;
/** Bytes of one frame on the data channel; a full batch with its header fits. */
export const MAX_DATA_FRAME_BYTES = 600 * KIB;
/** Bytes of one request. */
export const MAX_REQUEST_BYTES = 4 * KIB;
/** Bytes of one answer. */
export const MAX_ANSWER_BYTES = 16 * MIB;
/** Bytes of all answers that are being sent at one time; a request beyond it is refused, an edge peer's beyond half. */
export const MAX_ANSWER_BYTES_IN_FLIGHT = 64 * MIB;
/** Requests of one peer, over all its connections, that are being answered at one time. */
export const MAX_REQUESTS_IN_FLIGHT_PER_PEER = 16;
/** Bytes of one frame that a rollup node sends on a feed. */
export const MAX_FEED_REQUEST_BYTES = 4 * KIB;
/** Bytes of one frame that a sequencer sends on a feed. */
export const MAX_FEED_FRAME_BYTES = 32 * MIB;
/** Bytes received on one feed and not yet read by its owner; beyond it the stream is not read. */
export const MAX_FEED_UNREAD_BYTES = 1 * MIB;
/** Feeds served at one time, over all peers. */
export const MAX_FEEDS = 256;
/** Feeds served at one time to one peer. */
export const MAX_FEEDS_PER_PEER = 8;
/** Bytes of one gossip message. At limit + 1: rejected, with blame on who forwarded it. */
export const MAX_GOSSIP_MESSAGE_BYTES = 256 * KIB;
/** Bytes of one gossipsub RPC: some messages and control. At limit + 1 the stream is closed. */
export const MAX_GOSSIP_RPC_BYTES = 1 * MIB;
/** Milliseconds for which a gossip message is remembered: the same one is not taken in, sent or forwarded again. */
export const GOSSIP_SEEN_MS = 60_000;
/** Gossip messages whose verdict is awaited; those beyond are ignored. */
export const MAX_GOSSIP_VERDICTS_PENDING = 256;

/** Bytes queued for one peer's consensus channel; the oldest frames are dropped beyond it. */
export const MAX_CONSENSUS_QUEUE_BYTES = 4 * MIB;
/** Bytes queued for one peer's data channel; the oldest frames are dropped beyond it. */
export const MAX_DATA_QUEUE_BYTES = 32 * MIB;
/** Bytes handed to a stream that it has not sent: what a vote can stand behind. */
export const MAX_UNSENT_STREAM_BYTES = 256 * KIB;
/**
 * Bytes that wait to be sent on one connection, over all its streams: each is given one piece more than what fills it. What
 * a peer makes this node answer beyond it (pings, refused streams) closes the connection.
 */
export const MAX_UNSENT_CONNECTION_BYTES = 32 * MIB;
/** Bytes in flight on one stream before the receiver has taken them (yamux window). */
export const MAX_STREAM_WINDOW_BYTES = 1 * MIB;

/** Edge peers (all that are no validators) connected at one time. */
export const MAX_EDGE_PEERS = 64;
/** Connections of one edge peer. */
export const MAX_CONNECTIONS_PER_EDGE_PEER = 2;
/** Connections of one validator. */
export const MAX_CONNECTIONS_PER_VALIDATOR = 4;
/** Connections, half-open ones included, from one network address. */
export const MAX_CONNECTIONS_PER_ADDRESS = 64;
/** New connections in one second from one network address. */
export const MAX_NEW_CONNECTIONS_PER_SECOND_PER_ADDRESS = 32;
/** Connections whose handshake is not complete. */
export const MAX_PENDING_CONNECTIONS = 128;
/** Streams that a peer may have open on one connection, over all protocols. */
export const MAX_STREAMS_PER_CONNECTION = 128;
/** Inbound streams of one validator protocol on one connection: one in use, one that replaces it. */
export const MAX_VALIDATOR_STREAMS_PER_CONNECTION = 2;
/** Peers remembered as refused or as having misbehaved; the oldest are forgotten. */
export const MAX_REMEMBERED_PEERS = 4096;
/** Wrong steps of an edge peer (a protocol it may not open, a broken rate) before it is disconnected and refused. */
export const MAX_STRIKES = 5;

/** Milliseconds from dial or accept to a working connection. */
export const HANDSHAKE_TIMEOUT_MS = 5_000;
/** Milliseconds from opening a stream to its answer; also for a request to arrive whole. */
export const REQUEST_TIMEOUT_MS = 5_000;
/** Milliseconds in which a peer must take a whole answer. */
export const ANSWER_TIMEOUT_MS = 15_000;
/** Milliseconds without a frame in either direction after which a feed is closed. */
export const FEED_IDLE_TIMEOUT_MS = 120_000;
/** Milliseconds for which a frame sent on a feed may wait for the other side to read. */
export const FEED_SEND_TIMEOUT_MS = 30_000;
/** Milliseconds for which a peer that broke a limit is refused. */
export const REFUSAL_MS = 30_000;
/** Milliseconds before the first retry of a dial, doubled each time up to the last. */
export const FIRST_REDIAL_MS = 100;
/** Milliseconds between dials of a validator that is long gone. */
export const LAST_REDIAL_MS = 10_000;
/** Milliseconds in which a peer must answer a probe; a connection on which it does not is closed. */
export const PROBE_TIMEOUT_MS = 10_000;

/** A token bucket's refill each second and its size: the burst. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** How much of a protocol one peer may use. Frames are requests, for the request protocols. */
export interface ProtocolRate {
  readonly frames: Rate;
  readonly bytes: Rate;
}

/** Frames of consensus from one validator. Beyond it the stream is not read for a while. */
export const CONSENSUS_RATE: ProtocolRate = {
  frames: { perSecond: 2_000, burst: 8_000 },
  bytes: { perSecond: 16 * MIB, burst: 32 * MIB },
};
/** Batches from one validator. Beyond it the stream is not read for a while. */
export const DATA_RATE: ProtocolRate = {
  frames: { perSecond: 2_000, burst: 4_000 },
  bytes: { perSecond: 64 * MIB, burst: 64 * MIB },
};
/** Requests of one validator, and bytes of the answers. Beyond it a request is refused. */
export const VALIDATOR_REQUEST_RATE: ProtocolRate = {
  frames: { perSecond: 50, burst: 200 },
  bytes: { perSecond: 64 * MIB, burst: 128 * MIB },
};
/** Requests of one edge peer, and bytes of the answers. Beyond it a request is refused and counts as a strike. */
export const EDGE_REQUEST_RATE: ProtocolRate = {
  frames: { perSecond: 20, burst: 60 },
  bytes: { perSecond: 8 * MIB, burst: 64 * MIB },
};
/** Frames from a rollup node on its feeds. Beyond it the stream is closed and counts as a strike. */
export const FEED_RATE: ProtocolRate = {
  frames: { perSecond: 100, burst: 200 },
  bytes: { perSecond: 256 * KIB, burst: 512 * KIB },
};
/** Bytes of gossip from one peer. Beyond it the stream is not read for a while. Frames are read events. */
export const GOSSIP_RATE: ProtocolRate = {
  frames: { perSecond: 5_000, burst: 10_000 },
  bytes: { perSecond: 16 * MIB, burst: 32 * MIB },
};

/** The limits of one node; every one has a default under the name in capitals. */
export interface NetworkLimits {
  readonly maxConsensusFrameBytes: number;
  readonly maxDataFrameBytes: number;
  readonly maxRequestBytes: number;
  readonly maxAnswerBytes: number;
  readonly maxAnswerBytesInFlight: number;
  readonly maxRequestsInFlightPerPeer: number;
  readonly maxFeedRequestBytes: number;
  readonly maxFeedFrameBytes: number;
  readonly maxFeedUnreadBytes: number;
  readonly maxFeeds: number;
  readonly maxFeedsPerPeer: number;
  readonly maxGossipMessageBytes: number;
  readonly maxGossipRpcBytes: number;
  readonly maxGossipVerdictsPending: number;
  readonly maxConsensusQueueBytes: number;
  readonly maxDataQueueBytes: number;
  readonly maxUnsentStreamBytes: number;
  readonly maxUnsentConnectionBytes: number;
  readonly maxStreamWindowBytes: number;
  readonly maxEdgePeers: number;
  readonly maxConnectionsPerEdgePeer: number;
  readonly maxConnectionsPerValidator: number;
  readonly maxConnectionsPerAddress: number;
  readonly maxNewConnectionsPerSecondPerAddress: number;
  readonly maxPendingConnections: number;
  readonly maxStreamsPerConnection: number;
  readonly maxStrikes: number;
  readonly handshakeTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly answerTimeoutMs: number;
  readonly feedIdleTimeoutMs: number;
  readonly feedSendTimeoutMs: number;
  readonly refusalMs: number;
  readonly firstRedialMs: number;
  readonly lastRedialMs: number;
  readonly probeTimeoutMs: number;
  readonly consensusRate: ProtocolRate;
  readonly dataRate: ProtocolRate;
  readonly validatorRequestRate: ProtocolRate;
  readonly edgeRequestRate: ProtocolRate;
  readonly feedRate: ProtocolRate;
  readonly gossipRate: ProtocolRate;
}

export const DEFAULT_NETWORK_LIMITS: NetworkLimits = {
  maxConsensusFrameBytes: MAX_CONSENSUS_FRAME_BYTES,
  maxDataFrameBytes: MAX_DATA_FRAME_BYTES,
  maxRequestBytes: MAX_REQUEST_BYTES,
  maxAnswerBytes: MAX_ANSWER_BYTES,
  maxAnswerBytesInFlight: MAX_ANSWER_BYTES_IN_FLIGHT,
  maxRequestsInFlightPerPeer: MAX_REQUESTS_IN_FLIGHT_PER_PEER,
  maxFeedRequestBytes: MAX_FEED_REQUEST_BYTES,
  maxFeedFrameBytes: MAX_FEED_FRAME_BYTES,
  maxFeedUnreadBytes: MAX_FEED_UNREAD_BYTES,
  maxFeeds: MAX_FEEDS,
  maxFeedsPerPeer: MAX_FEEDS_PER_PEER,
  maxGossipMessageBytes: MAX_GOSSIP_MESSAGE_BYTES,
  maxGossipRpcBytes: MAX_GOSSIP_RPC_BYTES,
  maxGossipVerdictsPending: MAX_GOSSIP_VERDICTS_PENDING,
  maxConsensusQueueBytes: MAX_CONSENSUS_QUEUE_BYTES,
  maxDataQueueBytes: MAX_DATA_QUEUE_BYTES,
  maxUnsentStreamBytes: MAX_UNSENT_STREAM_BYTES,
  maxUnsentConnectionBytes: MAX_UNSENT_CONNECTION_BYTES,
  maxStreamWindowBytes: MAX_STREAM_WINDOW_BYTES,
  maxEdgePeers: MAX_EDGE_PEERS,
  maxConnectionsPerEdgePeer: MAX_CONNECTIONS_PER_EDGE_PEER,
  maxConnectionsPerValidator: MAX_CONNECTIONS_PER_VALIDATOR,
  maxConnectionsPerAddress: MAX_CONNECTIONS_PER_ADDRESS,
  maxNewConnectionsPerSecondPerAddress: MAX_NEW_CONNECTIONS_PER_SECOND_PER_ADDRESS,
  maxPendingConnections: MAX_PENDING_CONNECTIONS,
  maxStreamsPerConnection: MAX_STREAMS_PER_CONNECTION,
  maxStrikes: MAX_STRIKES,
  handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
  requestTimeoutMs: REQUEST_TIMEOUT_MS,
  answerTimeoutMs: ANSWER_TIMEOUT_MS,
  feedIdleTimeoutMs: FEED_IDLE_TIMEOUT_MS,
  feedSendTimeoutMs: FEED_SEND_TIMEOUT_MS,
  refusalMs: REFUSAL_MS,
  firstRedialMs: FIRST_REDIAL_MS,
  lastRedialMs: LAST_REDIAL_MS,
  probeTimeoutMs: PROBE_TIMEOUT_MS,
  consensusRate: CONSENSUS_RATE,
  dataRate: DATA_RATE,
  validatorRequestRate: VALIDATOR_REQUEST_RATE,
  edgeRequestRate: EDGE_REQUEST_RATE,
  feedRate: FEED_RATE,
  gossipRate: GOSSIP_RATE,
};

/** The defaults with what a node's options change. Throws `LIMIT_INVALID` for a limit that is no positive number. */
export function networkLimits(overrides: Partial<NetworkLimits> = {}): NetworkLimits {
  for (const [name, value] of Object.entries(overrides)) {
    if (typeof value === 'number' && !(value > 0)) {
      throw new SquadError(
        'LIMIT_INVALID',
        `the network limit ${name} is ${value}`,
        'Give a number above 0, or leave it out for the default.',
        { name, value },
      );
    }
  }
  return { ...DEFAULT_NETWORK_LIMITS, ...overrides };
}
