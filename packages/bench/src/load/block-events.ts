/** The blocks that a node tells its subscribers, as far as a load client needs them. */

import { type Follower, followSubscription } from '@squad/service';
import { z } from 'zod';
import type { Stage } from './tracker.ts';

const BlockEvent = z.object({
  stage: z.enum(['soft', 'final']),
  height: z.number(),
  refs: z.array(z.object({ author: z.number(), seq: z.number() })),
});

export interface BlockListener {
  onBatch(stage: Stage, author: number, seq: number): void;
  onLost(): void;
}

/** Resolves once the node has confirmed the subscription. It is renewed when it is lost. */
export function followBlocks(webSocketUrl: string, listener: BlockListener): Promise<Follower> {
  return new Promise((resolve) => {
    const follower = followSubscription({
      url: webSocketUrl,
      method: 'squad_subscribe',
      params: () => ['blocks'],
      retryMs: 100,
      onSubscribed: () => resolve(follower),
      onLost: () => listener.onLost(),
      onNotification: (value) => {
        const { stage, refs } = BlockEvent.parse(value);
        for (const { author, seq } of refs) listener.onBatch(stage, author, seq);
      },
    });
  });
}
