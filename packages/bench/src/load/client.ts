/**
 * The load client: sends what is due, times the answers, and times what the nodes tell. With a rate it is open-loop: due
 * times are fixed in advance. Without, it keeps a window of transactions on their way, which finds what the nodes can take.
 */

import { nowUs } from './clock.ts';
import { CometbftSession } from './cometbft-session.ts';
import { EthereumSession } from './ethereum-session.ts';
import { HttpConnection } from './http-connection.ts';
import type { LoadConfig, LoadCounts, LoadResult, LoadTarget } from './protocol.ts';
import { createRandom } from './random.ts';
import { Recorder } from './recorder.ts';
import { createSchedule, type Schedule } from './schedule.ts';
import {
  LaneHub,
  type Request,
  type RequestBody,
  type RequestSource,
  type Session,
  type SessionContext,
} from './session.ts';
import { SquadSession } from './squad-session.ts';

const TICK_MS = 1;
const DEFAULT_RETRY_MS = 100;
/** Between attempts to reach a node that went away. */
const RECONNECT_MS = 200;

interface Connection {
  readonly http: HttpConnection;
  readonly source: RequestSource;
}

interface Target extends LoadTarget {
  readonly session: Session;
  readonly connections: Connection[];
  readonly free: Connection[];
  /** Due times of requests that wait for a free connection. */
  backlog: number[];
  /** Connections that have something to send. */
  live: number;
  /** Connections that were lost and are not back. */
  down: number;
  /** Not before this time, as the node asked for patience. */
  pausedUntilUs: number;
}

function createSession(context: SessionContext): Session {
  switch (context.config.kind) {
    case 'squad-opaque':
      return new SquadSession(context);
    case 'cometbft':
      return new CometbftSession(context);
    case 'squad-evm':
    case 'ethereum':
      return new EthereumSession(context);
  }
}

export class LoadClient {
  readonly #config: LoadConfig;
  readonly #targets: Target[];
  #recorder: Recorder | undefined;
  #schedule: Schedule | undefined;
  #startUs = 0;
  #nextRequest = 0;
  #nextNumber = 0;
  #nextTarget = 0;
  #inFlight = 0;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #onSent: (() => void) | undefined;

  constructor(config: LoadConfig) {
    this.#config = config;
    const random = createRandom(config.seed + config.client);
    const hub = new LaneHub();
    this.#targets = config.targets.map((target, targetIndex) => {
      const session = createSession({
        config,
        target,
        targetIndex,
        hub,
        fill: random.fill,
        onReached: (...reached) => this.#recorder?.reached(...reached),
        takeNumbers: (count) => {
          const first = this.#nextNumber;
          this.#nextNumber += count;
          return first;
        },
      });
      const connections = Array.from({ length: config.connectionsPerTarget }, (_, index) => ({
        http: new HttpConnection(target.rpcUrl),
        source: session.createSource(targetIndex * config.connectionsPerTarget + index),
      }));
      return {
        ...target,
        session,
        connections,
        free: [...connections],
        backlog: [],
        live: connections.length,
        down: 0,
        pausedUntilUs: 0,
      };
    });
  }

  /** Connects and subscribes. */
  async open(): Promise<void> {
    await Promise.all(
      this.#targets.map(async ({ session, connections }) => {
        await session.open();
        for (const { http } of connections) await http.open();
      }),
    );
  }

  /** Resolves once everything that was due has been sent and answered. */
  run(startUs: number): Promise<void> {
    const { rate } = this.#config;
    this.#startUs = startUs;
    this.#recorder = new Recorder(startUs);
    if (rate !== undefined) this.#schedule = createSchedule({ ...this.#config, rate });
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
    return this.#targets.reduce((sum, { session }) => sum + session.unfinal, 0);
  }

  result(): LoadResult {
    const connections = this.#targets.flatMap((target) => target.connections);
    return this.#recorder!.result({
      finalTwice: this.#targets.reduce((sum, { session }) => sum + session.finalTwice, 0),
      bytesSent: connections.reduce((sum, { http }) => sum + http.bytesSent, 0),
      bytesReceived: connections.reduce((sum, { http }) => sum + http.bytesReceived, 0),
    });
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const { session, connections } of this.#targets) {
      session.close();
      for (const { http } of connections) http.close();
    }
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
      this.#recorder!.offered(dueUs, this.#config.transactionsPerRequest);
      this.#targetInTurn(this.#nextRequest).backlog.push(dueUs);
      this.#nextRequest++;
    }
    for (const target of this.#targets) this.#sendBacklog(target);
  }

  /** The next one that is not down, unless all are. */
  #targetInTurn(turn: number): Target {
    for (let i = 0; i < this.#targets.length; i++) {
      const target = this.#targets[(turn + i) % this.#targets.length]!;
      if (target.down === 0) return target;
    }
    return this.#targets[turn % this.#targets.length]!;
  }

  #sendBacklog(target: Target): void {
    while (target.backlog.length > 0) {
      if (target.live === 0) {
        const { length } = target.backlog.splice(0);
        this.#recorder!.rejected('NOTHING_LEFT_TO_SEND', length * this.#config.transactionsPerRequest);
        return;
      }
      const connection = target.free.shift();
      if (connection === undefined) return;
      if (this.#send(target, connection, target.backlog[0]!)) target.backlog.shift();
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
      const connection = now < target.pausedUntilUs ? undefined : target.free.shift();
      if (connection === undefined || !this.#send(target, connection, now)) {
        idle++;
        continue;
      }
      idle = 0;
      room -= transactionsPerRequest;
      this.#recorder!.offered(now, transactionsPerRequest);
    }
  }

  /** False if this connection has nothing more to send: it is not used again. */
  #send(target: Target, connection: Connection, dueUs: number): boolean {
    const body = connection.source.next();
    if (body === undefined) {
      target.live--;
      return false;
    }
    this.#inFlight++;
    void this.#exchange(target, connection, body, dueUs);
    return true;
  }

  async #exchange(target: Target, connection: Connection, body: RequestBody, dueUs: number): Promise<void> {
    const sentUs = nowUs();
    let answer: Buffer | undefined;
    try {
      ({ body: answer } = await connection.http.post(body.bytes));
    } catch {
      this.#recorder!.unanswered(body.count);
    }
    this.#inFlight--;
    if (answer === undefined) await this.#reconnect(target, connection);
    else this.#onAnswer(target, { dueUs, sentUs, answeredUs: nowUs() }, body, answer);
    target.free.push(connection);
    if (this.#schedule === undefined) this.#fillWindow();
    else this.#sendBacklog(target);
  }

  #onAnswer(target: Target, request: Request, body: RequestBody, answer: Buffer): void {
    const recorder = this.#recorder!;
    const { rejected, retryAfterMs } = target.session.onAnswer(request, body, answer);
    if (body.count > rejected.length) recorder.accepted(request, body.count - rejected.length);
    let from = 0;
    for (const { index, code } of rejected) {
      recorder.acceptedNumbers(body.first + from, index - from);
      recorder.rejected(code, 1);
      from = index + 1;
    }
    recorder.acceptedNumbers(body.first + from, body.count - from);
    // Only without a rate: a schedule does not wait.
    if (rejected.length > 0) target.pausedUntilUs = nowUs() + (retryAfterMs ?? DEFAULT_RETRY_MS) * 1000;
  }

  /** What was due at the lost node goes to others, as a client would that knows several. */
  async #reconnect(target: Target, { http }: Connection): Promise<void> {
    target.down++;
    for (const [i, dueUs] of target.backlog.splice(0).entries()) this.#targetInTurn(i).backlog.push(dueUs);
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
      if (this.#isClosed) return;
      const isBack = await http.open().then(
        () => true,
        () => false,
      );
      if (isBack) break;
    }
    target.down--;
  }
}
