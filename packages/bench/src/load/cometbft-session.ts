/** Load on a CometBFT node: batches of broadcast_tx_sync, and its NewBlock events, which are final. */

import { WebSocket } from 'ws';
import { z } from 'zod';
import { nowUs, usOfWallClock } from './clock.ts';
import { CometbftBody, cometbftNumber } from './cometbft-body.ts';
import type { AnswerSummary, Request, RequestBody, RequestSource, Session, SessionContext } from './session.ts';

const RpcFailure = z.object({ message: z.string(), data: z.string().optional() });
const Answers = z.array(
  z.union([
    z.object({ id: z.number(), result: z.object({ code: z.number(), log: z.string() }) }),
    z.object({ id: z.number(), error: RpcFailure }),
  ]),
);
const NewBlock = z.object({
  result: z.object({
    data: z.object({
      value: z.object({
        block: z.object({
          header: z.object({ time: z.string() }),
          data: z.object({ txs: z.array(z.string()).nullable() }),
        }),
      }),
    }),
  }),
});

const RETRY_AFTER_MS = 100;

export class CometbftSession implements Session {
  readonly #context: SessionContext;
  /** By number: the request of an accepted transaction that is not final yet. */
  readonly #waiting = new Map<number, Request>();
  /** First numbers of requests that are not answered: blocks may tell of them before the answer does. */
  readonly #unanswered = new Set<number>();
  readonly #early = new Map<number, { atUs: number; proposedUs: number }>();
  #socket: WebSocket | undefined;
  readonly finalTwice = 0;

  constructor(context: SessionContext) {
    this.#context = context;
  }

  get unfinal(): number {
    return this.#waiting.size;
  }

  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(`${this.#context.target.webSocketUrl}/websocket`, { maxPayload: 1 << 30 });
      this.#socket = socket;
      socket.on('error', reject);
      socket.on('open', () => {
        const params = { query: "tm.event='NewBlock'" };
        socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'subscribe', params }));
      });
      let isSubscribed = false;
      socket.on('message', (data) => {
        if (isSubscribed) {
          this.#onBlock(JSON.parse(String(data)));
          return;
        }
        isSubscribed = true;
        resolve();
      });
    });
  }

  createSource(): RequestSource {
    const { config, takeNumbers, fill } = this.#context;
    const body = new CometbftBody({ ...config, fill });
    const count = config.transactionsPerRequest;
    return {
      next: () => {
        const first = takeNumbers(count);
        body.number(first);
        this.#unanswered.add(first);
        return { bytes: body.bytes, first, count };
      },
    };
  }

  onAnswer(request: Request, { first, count }: RequestBody, bytes: Buffer): AnswerSummary {
    this.#unanswered.delete(first);
    const parsed: unknown = JSON.parse(bytes.toString('utf8'));
    // One transaction is answered without a list around it.
    const answers = Answers.parse(Array.isArray(parsed) ? parsed : [parsed]);
    const rejected = answers.flatMap((answer) => {
      if ('result' in answer && answer.result.code === 0) return [];
      const code = 'result' in answer ? `code ${answer.result.code}` : (answer.error.data ?? answer.error.message);
      return [{ index: answer.id, code: code.replaceAll(/\d+/g, 'N').slice(0, 80) }];
    });
    const refused = new Set(rejected.map(({ index }) => index));
    for (let index = 0; index < count; index++) {
      if (refused.has(index)) continue;
      const number = first + index;
      const early = this.#early.get(number);
      if (early === undefined) this.#waiting.set(number, request);
      else this.#context.onReached('final', request, early.atUs, 1, early.proposedUs);
      this.#early.delete(number);
    }
    return { rejected, retryAfterMs: rejected.length > 0 ? RETRY_AFTER_MS : undefined };
  }

  close(): void {
    this.#socket?.terminate();
  }

  #onBlock(message: unknown): void {
    const event = NewBlock.safeParse(message);
    if (!event.success) return;
    const { header, data } = event.data.result.data.value.block;
    const atUs = nowUs();
    const proposedUs = usOfWallClock(Date.parse(header.time));
    const { client, transactionsPerRequest } = this.#context.config;
    for (const base64 of data.txs ?? []) {
      const number = cometbftNumber(base64, client);
      if (number === undefined) continue;
      const request = this.#waiting.get(number);
      if (request === undefined) {
        // All requests of a client are of one size. What was sent to another node, its session knows.
        if (this.#unanswered.has(number - (number % transactionsPerRequest)))
          this.#early.set(number, { atUs, proposedUs });
        continue;
      }
      this.#waiting.delete(number);
      this.#context.onReached('final', request, atUs, 1, proposedUs);
    }
  }
}
