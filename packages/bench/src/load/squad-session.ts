/** Load on a sequencer of SQUAD with opaque transactions: squad_sendTransactions, squad_subscribe blocks. */

import type { Follower } from '@squad/service';
import { z } from 'zod';
import { followBlocks } from './block-events.ts';
import { nowUs } from './clock.ts';
import { OpaqueBody } from './opaque-body.ts';
import type { AnswerSummary, Request, RequestBody, RequestSource, Session, SessionContext } from './session.ts';
import { LaneTracker } from './tracker.ts';

const Refusal = z.object({
  message: z.string(),
  data: z.object({ code: z.string(), retryAfterMs: z.number() }).partial().optional(),
});
const CallAnswer = z.union([
  z.object({
    result: z.object({
      places: z.array(z.tuple([z.number(), z.number(), z.number()])),
      rejected: z.array(z.object({ index: z.number(), error: Refusal })),
    }),
  }),
  z.object({ error: Refusal }),
]);

export class SquadSession implements Session {
  readonly #context: SessionContext;
  readonly #tracker: LaneTracker;
  #follower: Follower | undefined;
  /** Once its node was away, what others tell of its lane counts too. */
  #wasLost = false;
  readonly finalTwice = 0;

  constructor(context: SessionContext) {
    this.#context = context;
    this.#tracker = new LaneTracker(context.onReached);
    context.hub.listen((from, author, news) => {
      if (author !== context.target.author) return;
      if (from === context.targetIndex || this.#wasLost) this.#tracker.ordered(news);
    });
  }

  get unfinal(): number {
    return this.#tracker.unfinal;
  }

  async open(): Promise<void> {
    const { hub, target, targetIndex } = this.#context;
    this.#follower = await followBlocks(target.webSocketUrl, {
      onBlock: (stage, proposedUs, refs) => {
        const atUs = nowUs();
        for (const { author, seq } of refs) hub.tell(targetIndex, author, { stage, seq, atUs, proposedUs });
      },
      onLost: () => {
        this.#wasLost = true;
      },
    });
  }

  createSource(): RequestSource {
    const { config, takeNumbers, fill } = this.#context;
    const bodies = config.rollupIds.map((rollupId) => new OpaqueBody({ ...config, rollupId, fill }));
    const count = config.transactionsPerRequest;
    return {
      next: () => {
        const first = takeNumbers(count);
        const body = bodies[(first / count) % bodies.length]!;
        body.number(first);
        return { bytes: body.bytes, first, count };
      },
    };
  }

  onAnswer(request: Request, { count }: RequestBody, bytes: Buffer): AnswerSummary {
    const answer = CallAnswer.parse(JSON.parse(bytes.toString('latin1')));
    if ('error' in answer) {
      const { message, data } = answer.error;
      const code = data?.code ?? message;
      return {
        rejected: Array.from({ length: count }, (_, index) => ({ index, code })),
        retryAfterMs: data?.retryAfterMs,
      };
    }
    const { places, rejected } = answer.result;
    this.#tracker.placed(request, places);
    return {
      rejected: rejected.map(({ index, error }) => ({ index, code: error.data?.code ?? error.message })),
      retryAfterMs: rejected[0]?.error.data?.retryAfterMs,
    };
  }

  close(): void {
    this.#follower?.close();
  }
}
