/** Counts what the network does. Both implementations keep one. */

import {
  type Channel,
  type ChannelStatistics,
  type GossipVerdict,
  type NetworkStatistics,
  REFUSAL_REASONS,
  type RefusalReason,
} from './api.ts';

type ChannelCounts = { -readonly [Name in Exclude<keyof ChannelStatistics, 'queuedBytes'>]: number };

function noFrames(): ChannelCounts {
  return { framesSent: 0, bytesSent: 0, framesReceived: 0, bytesReceived: 0, framesDropped: 0 };
}

export class StatisticsCounter {
  readonly channels: Record<Channel, ChannelCounts> = { consensus: noFrames(), data: noFrames() };
  readonly gossip: Record<GossipVerdict, number> = { accept: 0, ignore: 0, reject: 0 };
  readonly refusals = Object.fromEntries(REFUSAL_REASONS.map((reason) => [reason, 0])) as Record<RefusalReason, number>;
  requestsSent = 0;
  requestsFailed = 0;
  requestsAnswered = 0;
  feedsOpen = 0;
  gossipPublished = 0;
  readsPaused = 0;

  sent(channel: Channel, bytes: number): void {
    this.channels[channel].framesSent++;
    this.channels[channel].bytesSent += bytes;
  }

  received(channel: Channel, bytes: number): void {
    this.channels[channel].framesReceived++;
    this.channels[channel].bytesReceived += bytes;
  }

  snapshot(queuedBytes: Readonly<Record<Channel, number>>): NetworkStatistics {
    return {
      channels: {
        consensus: { ...this.channels.consensus, queuedBytes: queuedBytes.consensus },
        data: { ...this.channels.data, queuedBytes: queuedBytes.data },
      },
      requestsSent: this.requestsSent,
      requestsFailed: this.requestsFailed,
      requestsAnswered: this.requestsAnswered,
      feedsOpen: this.feedsOpen,
      gossipPublished: this.gossipPublished,
      gossipReceived: { ...this.gossip },
      refusals: { ...this.refusals },
      readsPaused: this.readsPaused,
    };
  }
}
