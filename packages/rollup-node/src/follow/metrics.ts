/** What the follower measures. */

import { VERIFICATION_ERROR_CODES } from '@squad/client';
import { type Counter, type Histogram, type Metrics, noMetrics } from '@squad/service';
import type { Follower, RefusalCode } from './api.ts';

export interface FollowerMetrics {
  readonly blocks: Counter<'stage'>;
  readonly refused: Counter<'code'>;
  readonly switches: Counter;
  readonly latency: Histogram<'stage'>;
}

const STAGES: readonly string[] = ['soft', 'final'];
const REFUSAL_CODES: readonly RefusalCode[] = [...VERIFICATION_ERROR_CODES, 'PROTOCOL', 'HAND_OVER'];

export function followerMetrics(
  metrics: Metrics | undefined,
  follower: Pick<Follower, 'head' | 'setHead' | 'feeds'>,
): FollowerMetrics {
  const port = metrics ?? noMetrics;
  port.gauge({
    name: 'squad_follow_final_height_blocks',
    help: 'Newest final block that was applied',
    read: () => follower.head.height,
  });
  port.gauge({
    name: 'squad_follow_set_head_height',
    help: 'Newest final block of the sequencers, by what enough of them claim',
    read: () => follower.setHead ?? 0,
  });
  port.gauge({
    name: 'squad_follow_feeds_open',
    help: 'Feeds of sequencers that are open',
    read: () => follower.feeds.filter(({ state }) => state === 'open').length,
  });
  return {
    blocks: port.counter({
      name: 'squad_follow_applied_blocks_total',
      help: 'Blocks that were verified and applied',
      labels: { stage: STAGES },
    }),
    refused: port.counter({
      name: 'squad_follow_refused_blocks_total',
      help: 'What sequencers sent that failed verification, by code',
      labels: { code: REFUSAL_CODES },
    }),
    switches: port.counter({
      name: 'squad_follow_switches_total',
      help: 'Times that another sequencer was asked because nothing new came',
    }),
    latency: port.histogram({
      name: 'squad_follow_latency_seconds',
      help: 'From the time in a block to its being applied here',
      labels: { stage: STAGES },
      buckets: [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 10, 60],
    }),
  };
}
