/** The blocks that a sequencer tells its subscribers, as far as a load client needs them. */

import { type Follower, followSubscription } from '@squad/service';
import { z } from 'zod';
import { usOfWallClock } from './clock.ts';
import type { Stage } from './session.ts';

const BlockEvent = z.object({
  stage: z.enum(['soft', 'final']),
  timestampMs: z.number(),
  refs: z.array(z.object({ author: z.number(), seq: z.number() })),
});

const RETRY_MS = 100;

export interface BlockListener {
  /** `proposedUs`: the block's timestamp on the clock of `nowUs`. */
  onBlock(stage: Stage, proposedUs: number, refs: readonly { readonly author: number; readonly seq: number }[]): void;
  onLost(): void;
}

/** Resolves once the node has confirmed the subscription. It is renewed when it is lost. */
export function followBlocks(webSocketUrl: string, listener: BlockListener): Promise<Follower> {
  return new Promise((resolve) => {
    const follower = followSubscription({
      url: webSocketUrl,
      method: 'squad_subscribe',
      params: () => ['blocks'],
      retryMs: RETRY_MS,
      onSubscribed: () => resolve(follower),
      onLost: () => listener.onLost(),
      onNotification: (value) => {
        const { stage, timestampMs, refs } = BlockEvent.parse(value);
        listener.onBlock(stage, usOfWallClock(timestampMs), refs);
      },
    });
  });
}
