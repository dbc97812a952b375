/**
 * The load client: sends what is due, times the answers, and times what the blocks tell. With a rate it is open-loop: due
 * times are fixed in advance. Without, it keeps a window of transactions on their way, which finds what the nodes can take.
 */

import { z } from 'zod';
import { followBlocks } from './block-events.ts';
import { nowUs } from './clock.ts';
import { HttpConnection } from './http-connection.ts';
import { OpaqueBody } from './opaque-body.ts';
import type { LoadConfig, LoadCounts, LoadResult, LoadTarget } from './protocol.ts';
import { createRandom } from './random.ts';
import { Recorder } from './recorder.ts';
import { createSchedule, type Schedule } from './schedule.ts';
import { LaneTracker } from './tracker.ts';

const TICK_MS = 1;
const DEFAULT_RETRY_MS = 100;
/** Between attempts to reach a node that went away. */
const RECONNECT_MS = 200;

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

interface Connection {
  readonly http: HttpConnection;
  readonly body: OpaqueBody;
}

interface Target extends LoadTarget {
  readonly tracker: LaneTracker;
  readonly free: Connection[];
  readonly connections: Connection[];
  /** Due times of requests that wait for a free connection. */
  readonly backlog: number[];
  /** Not before this time, as the node asked for patience. */
  pausedUntilUs: number;
}

export class LoadClient {
  readonly #config: LoadConfig;
  readonly #targets: Target[];
  readonly #closers: (() => void)[] = [];
  #recorder: Recorder | undefined;
  #schedule: Schedule | undefined;
  #startUs = 0;
  #nextRequest = 0;
  #nextNumber = 0;
  #nextTarget = 0;
  #inFlight = 0;
  #timer: NodeJS.Timeout | undefined;
  #onSent: (() => void) | undefined;

  constructor(config: LoadConfig) {
    this.#config = config;
    const random = createRandom(config.seed + config.client);
    const connection = (target: LoadTarget): Connection => ({
      http: new HttpConnection(target.rpcUrl),
      body: new OpaqueBody({ ...config, fill: random.fill }),
    });
    this.#targets = config.targets.map((target) => {
      const connections = Array.from({ length: config.connectionsPerTarget }, () => connection(target));
      const tracker = new LaneTracker((stage, dueUs, atUs, count) =>
        this.#recorder?.reached(stage, dueUs, atUs, count),
      );
      return { ...target, tracker, connections, free: [...connections], backlog: [], pausedUntilUs: 0 };
    });
  }

  /** Connects and subscribes. */
  async open(): Promise<void> {
    await Promise.all(
      this.#targets.map(async (target) => {
        const follower = await followBlocks(target.webSocketUrl, {
          onBatch: (stage, author, seq) => {
            if (author === target.author) target.tracker.ordered(stage, seq, nowUs());
          },
          onLost: () => {},
        });
        this.#closers.push(() => follower.close());
        for (const { http } of target.connections) await http.open();
      }),
    );
  }

  /** Resolves once everything that was due has been sent and answered. */
  run(startUs: number): Promise<void> {
    const { rate, durationUs } = this.#config;
    this.#startUs = startUs;
    this.#recorder = new Recorder(startUs);
    if (rate !== undefined) this.#schedule = createSchedule({ ...this.#config, rate, durationUs });
    return new Promise((resolve) => {
      this.#onSent = resolve;
      this.#timer = setTimeout(() => this.#tick(), Math.max(0, (startUs - nowUs()) / 1000));
    });
  }

  get counts(): LoadCounts {
    return this.#recorder!.counts;
  }

  /** Accepted and not final yet. */
  get unfinal(): number {
    return this.#targets.reduce((sum, { tracker }) => sum + tracker.unfinal, 0);
  }

  result(): LoadResult {
    const connections = this.#targets.flatMap((target) => target.connections);
    return this.#recorder!.result({
      finalTwice: this.#targets.reduce((sum, { tracker }) => sum + tracker.finalTwice, 0),
      bytesSent: connections.reduce((sum, { http }) => sum + http.bytesSent, 0),
      bytesReceived: connections.reduce((sum, { http }) => sum + http.bytesReceived, 0),
    });
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const target of this.#targets) for (const { http } of target.connections) http.close();
    for (const close of this.#closers) close();
  }

  #tick(): void {
    if (this.#schedule === undefined) this.#fillWindow();
    else this.#sendDue(this.#schedule);
    if (this.#isOver) {
      this.#onSent?.();
      return;
    }
    this.#timer = setTimeout(() => this.#tick(), TICK_MS);
  }

  get #isOver(): boolean {
    const allDue =
      this.#schedule === undefined
        ? nowUs() >= this.#startUs + this.#config.durationUs
        : this.#nextRequest >= this.#schedule.requests && this.#targets.every(({ backlog }) => backlog.length === 0);
    return allDue && this.#inFlight === 0;
  }

  #sendDue(schedule: Schedule): void {
    const now = nowUs();
    while (this.#nextRequest < schedule.requests) {
      const dueUs = this.#startUs + schedule.dueUs(this.#nextRequest);
      if (dueUs > now) break;
      const target = this.#targets[this.#nextRequest % this.#targets.length]!;
      this.#recorder!.offered(dueUs, this.#config.transactionsPerRequest);
      target.backlog.push(dueUs);
      this.#nextRequest++;
    }
    for (const target of this.#targets) this.#sendBacklog(target);
  }

  #sendBacklog(target: Target): void {
    while (target.backlog.length > 0) {
      const connection = target.free.pop();
      if (connection === undefined) return;
      void this.#send(target, connection, target.backlog.shift()!);
    }
  }

  /** To the targets in turn, as long as there is a free connection and room in the window. */
  #fillWindow(): void {
    const { window, transactionsPerRequest, durationUs } = this.#config;
    let room = window - this.unfinal - this.#inFlight * transactionsPerRequest;
    for (let idle = 0; idle < this.#targets.length && room >= transactionsPerRequest; ) {
      const now = nowUs();
      if (now >= this.#startUs + durationUs) return;
      const target = this.#targets[this.#nextTarget++ % this.#targets.length]!;
      const connection = now < target.pausedUntilUs ? undefined : target.free.pop();
      if (connection === undefined) {
        idle++;
        continue;
      }
      idle = 0;
      room -= transactionsPerRequest;
      this.#recorder!.offered(now, transactionsPerRequest);
      void this.#send(target, connection, now);
    }
  }

  async #send(target: Target, connection: Connection, dueUs: number): Promise<void> {
    const { transactionsPerRequest } = this.#config;
    const first = this.#nextNumber;
    this.#nextNumber += transactionsPerRequest;
    this.#inFlight++;
    connection.body.number(first);
    try {
      const answer = await connection.http.post(connection.body.bytes);
      this.#onAnswer(target, dueUs, first, answer.body);
    } catch {
      this.#recorder!.unanswered(transactionsPerRequest);
      await this.#reconnect(connection);
    }
    this.#inFlight--;
    target.free.push(connection);
    if (this.#schedule === undefined) this.#fillWindow();
    else this.#sendBacklog(target);
  }

  async #reconnect({ http }: Connection): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    await http.open().catch(() => {});
  }

  #onAnswer(target: Target, dueUs: number, first: number, body: Buffer): void {
    const { transactionsPerRequest } = this.#config;
    const atUs = nowUs();
    const recorder = this.#recorder!;
    const answer = CallAnswer.parse(JSON.parse(body.toString('latin1')));
    if ('error' in answer) {
      recorder.rejected(answer.error.data?.code ?? answer.error.message, transactionsPerRequest);
      this.#pause(target, answer.error.data?.retryAfterMs);
      return;
    }
    const { places, rejected } = answer.result;
    const accepted = transactionsPerRequest - rejected.length;
    if (accepted > 0) {
      recorder.reached('accepted', dueUs, atUs, accepted);
      target.tracker.placed(dueUs, places);
    }
    let from = 0;
    for (const { index, error } of rejected) {
      recorder.acceptedNumbers(first + from, index - from);
      from = index + 1;
      recorder.rejected(error.data?.code ?? error.message, 1);
    }
    recorder.acceptedNumbers(first + from, transactionsPerRequest - from);
    if (rejected.length > 0) this.#pause(target, rejected[0]!.error.data?.retryAfterMs);
  }

  /** Only without a rate: a schedule does not wait. */
  #pause(target: Target, retryAfterMs: number = DEFAULT_RETRY_MS): void {
    target.pausedUntilUs = nowUs() + retryAfterMs * 1000;
  }
}
