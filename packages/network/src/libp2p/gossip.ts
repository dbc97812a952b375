/**
 * Gossip of transactions. Messages carry no signature and are named by their content, so one that was seen from anybody
 * costs a hash; what is forwarded is decided by the owner's verdict, and who forwards what was rejected loses score.
 */

import { createHash } from 'node:crypto';
import {
  type GossipSub,
  type GossipSubComponents,
  gossipsub,
  StrictNoSign,
  TopicValidatorResult,
} from '@chainsafe/libp2p-gossipsub';
import type { Connection, Stream, StreamHandler } from '@libp2p/interface';
import type { GossipVerdict, PeerId } from '../api.ts';
import { plainBytes } from '../bytes.ts';
import { checkGossipSize } from '../checks.ts';
import { GOSSIP_SEEN_MS, type NetworkLimits } from '../limits.ts';
import { ProtocolBudget } from '../rate-limit.ts';
import { pauseReading, resumeReading } from './channel.ts';
import type { PeerGate } from './gate.ts';
import type { Host } from './host.ts';
import { PeerTable } from './peer-table.ts';
import { toError } from './streams.ts';

const MESSAGE_ID_BYTES = 20;
/** Bytes waiting on the way to one peer that reads slowly; its gossip stream is reset beyond it. */
const MAX_GOSSIP_OUTBOUND_BYTES = 8 * 1024 * 1024;
/** Room for topics that a peer may say it listens to; there is one. */
const MAX_TOPIC_BYTES_PER_PEER = 8 * 1024;

interface GossipServiceOptions {
  readonly topic: string;
  readonly limits: NetworkLimits;
  readonly gate: PeerGate;
  /** Own messages go to all peers that listen, not to some: what an edge node with a few peers wants. */
  readonly floodPublish: boolean;
}

/** The gossipsub service for libp2p, with reading from each peer held to a rate. */
export function gossipService(options: GossipServiceOptions): (components: GossipSubComponents) => GossipSub {
  const { topic, limits, gate } = options;
  const create = gossipsub({
    globalSignaturePolicy: StrictNoSign,
    msgIdFn: (message) => createHash('sha256').update(message.data).digest().subarray(0, MESSAGE_ID_BYTES),
    allowedTopics: [topic],
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    floodPublish: options.floodPublish,
    fallbackToFloodsub: false,
    doPX: false,
    emitSelf: false,
    seenTTL: GOSSIP_SEEN_MS,
    maxInboundDataLength: limits.maxGossipRpcBytes,
    maxOutboundBufferSize: MAX_GOSSIP_OUTBOUND_BYTES,
    maxInboundStreams: 2,
    maxOutboundStreams: 2,
    maxTopicBytesPerPeer: MAX_TOPIC_BYTES_PER_PEER,
    decodeRpcLimits: {
      maxSubscriptions: 8,
      maxMessages: 256,
      maxIhaveMessageIDs: 5_000,
      maxIwantMessageIDs: 5_000,
      maxIdontwantMessageIDs: 512,
      maxControlMessages: 64,
      maxPeerInfos: 0,
    },
    scoreParams: {
      // P5: strikes of this node's own book count too.
      appSpecificScore: (peer) => -gate.strikesOf(peer),
      appSpecificWeight: 20,
      // P6: one address may be a whole test network; connections from it are bounded elsewhere.
      IPColocationFactorWeight: -1,
      IPColocationFactorThreshold: limits.maxConnectionsPerAddress,
      // P7: grafting too soon, promises of messages that never come.
      behaviourPenaltyWeight: -10,
      behaviourPenaltyThreshold: 6,
      behaviourPenaltyDecay: 0.9,
      retainScore: 10 * 60_000,
      topics: {
        [topic]: {
          topicWeight: 1,
          timeInMeshWeight: 0.01,
          timeInMeshQuantum: 1_000,
          timeInMeshCap: 300,
          firstMessageDeliveriesWeight: 0.1,
          firstMessageDeliveriesDecay: 0.9,
          firstMessageDeliveriesCap: 100,
          // P3 off: traffic may stop for any length of time, and silence is no fault.
          meshMessageDeliveriesWeight: 0,
          meshMessageDeliveriesDecay: 0.5,
          meshMessageDeliveriesCap: 1,
          meshMessageDeliveriesThreshold: 1,
          meshMessageDeliveriesWindow: 10,
          meshMessageDeliveriesActivation: 1_000,
          meshFailurePenaltyWeight: 0,
          meshFailurePenaltyDecay: 0.5,
          // P4: squared; ten rejected messages in short order end in the graylist.
          invalidMessageDeliveriesWeight: -20,
          invalidMessageDeliveriesDecay: 0.95,
        },
      },
    },
    scoreThresholds: {
      gossipThreshold: -100,
      publishThreshold: -400,
      graylistThreshold: -1_000,
      acceptPXThreshold: 1_000,
      opportunisticGraftThreshold: 1,
    },
  });
  return (components) => create(withRate(components, limits));
}

/** The same components, but gossip streams that are read no faster than the rate. */
function withRate(components: GossipSubComponents, limits: NetworkLimits): GossipSubComponents {
  const { registrar } = components;
  const budgets = new PeerTable(() => new ProtocolBudget(limits.gossipRate, Date.now()));
  const handle: typeof registrar.handle = (protocol, handler, options) =>
    registrar.handle(protocol, rated(handler, budgets), options);
  const ratedRegistrar: typeof registrar = Object.create(registrar, { handle: { value: handle } });
  return {
    privateKey: components.privateKey,
    peerId: components.peerId,
    peerStore: components.peerStore,
    connectionManager: components.connectionManager,
    logger: components.logger,
    registrar: ratedRegistrar,
  };
}

function rated(handler: StreamHandler, budgets: PeerTable<ProtocolBudget>): StreamHandler {
  return (stream: Stream, connection: Connection) => {
    const peer = connection.remotePeer.toString();
    // Gossipsub starts to read a little later; nothing may be delivered to the counter alone.
    if (stream.readStatus === 'readable') stream.pause();
    const handled = handler(stream, connection);
    stream.addEventListener('message', (event) => {
      const waitMs = budgets.get(peer).take(1, event.data.byteLength, Date.now());
      if (waitMs > 0) pauseReading(stream, (resume) => setTimeout(resume, waitMs).unref());
    });
    setImmediate(() => resumeReading(stream));
    return handled;
  };
}

/** One node's part in the topic. */
export class TransactionGossip {
  readonly #host: Host;
  readonly #pubsub: GossipSub;
  readonly #judge: ((from: PeerId, message: Uint8Array) => Promise<GossipVerdict>) | undefined;
  #pending = 0;

  constructor(host: Host, judge?: (from: PeerId, message: Uint8Array) => Promise<GossipVerdict>) {
    this.#host = host;
    this.#pubsub = host.libp2p.services.pubsub;
    this.#judge = judge;
  }

  /** Listens, if there is someone to judge what comes. */
  start(): void {
    if (this.#judge === undefined) return;
    const topic = this.#host.names.transactionsTopic;
    this.#pubsub.topicValidators.set(topic, async (from, message) => {
      const verdict = await this.#verdict(from.toString(), plainBytes(message.data));
      this.#host.statistics.gossip[verdict]++;
      return TopicValidatorResult[RESULTS[verdict]];
    });
    this.#pubsub.subscribe(topic);
  }

  async publish(message: Uint8Array): Promise<number> {
    const { limits, names, statistics } = this.#host;
    checkGossipSize(message, limits.maxGossipMessageBytes);
    // Asked first: a message that gossipsub handed to nobody counts as seen and could not be published again.
    if (this.#pubsub.getSubscribers(names.transactionsTopic).length === 0) return 0;
    const { recipients } = await this.#pubsub.publish(names.transactionsTopic, message);
    statistics.gossipPublished++;
    return recipients.length;
  }

  async #verdict(from: PeerId, message: Uint8Array): Promise<GossipVerdict> {
    const { limits, gate, logger } = this.#host;
    if (message.length > limits.maxGossipMessageBytes) {
      gate.strike(from, 'frameTooLarge');
      return 'reject';
    }
    if (this.#pending >= limits.maxGossipVerdictsPending) return 'ignore';
    this.#pending++;
    try {
      const verdict = await this.#judge!(from, message);
      if (verdict === 'reject') gate.strike(from, 'gossipRejected');
      return verdict;
    } catch (error) {
      logger.warn({ from, error: toError(error).message }, 'gossip handler failed');
      return 'ignore';
    } finally {
      this.#pending--;
    }
  }
}

const RESULTS = { accept: 'Accept', ignore: 'Ignore', reject: 'Reject' } as const;
