/**
 * What the load client needs of one kind of system, for one node of it: bodies of requests, the meaning of answers, and
 * word of what became soft and final. Everything else (schedule, connections, counting) is the same for all systems.
 */

import type { LoadConfig, LoadTarget } from './protocol.ts';

export type Stage = 'soft' | 'final';

/** One request: `count` transactions that arrived at one moment. */
export interface Request {
  /** When it was due, when it went out, and when its answer came; microseconds of `nowUs`. */
  readonly dueUs: number;
  readonly sentUs: number;
  readonly answeredUs: number;
}

/** `count` transactions of a request reached the stage. `proposedUs`: when their block was made, if the system tells. */
export type OnReached = (
  stage: Stage,
  request: Request,
  atUs: number,
  count: number,
  proposedUs: number | undefined,
) => void;

/** Makes the bodies that go over one connection, one after another. */
export interface RequestSource {
  /** The body must be sent before the next one is asked for. Undefined: there are no more. */
  next(): RequestBody | undefined;
}

export interface RequestBody {
  readonly bytes: Buffer;
  /** Number of the first transaction; the others follow it. */
  readonly first: number;
  readonly count: number;
}

export interface Rejected {
  /** Within the request. */
  readonly index: number;
  readonly code: string;
}

export interface AnswerSummary {
  readonly rejected: readonly Rejected[];
  readonly retryAfterMs: number | undefined;
}

export interface Session {
  /** Subscribes. */
  open(): Promise<void>;
  createSource(connection: number): RequestSource;
  /** Notes what was accepted, to follow it. Throws if the answer is none of this system's. */
  onAnswer(request: Request, body: RequestBody, answer: Buffer): AnswerSummary;
  /** Accepted and not final. */
  readonly unfinal: number;
  /** Transactions that became final more than once. */
  readonly finalTwice: number;
  close(): void;
}

export interface SessionContext {
  readonly config: LoadConfig;
  readonly target: LoadTarget;
  readonly targetIndex: number;
  readonly onReached: OnReached;
  /** Takes this many numbers; returns the first. */
  readonly takeNumbers: (count: number) => number;
  /** Random bytes of this client. */
  readonly fill: (bytes: Uint8Array) => void;
  /** What other nodes tell of batches of this one's lane, for when it cannot tell itself. */
  readonly hub: LaneHub;
}

/** Where sessions of one client hear of each other's lanes. */
export class LaneHub {
  readonly #listeners = new Set<(from: number, author: number, tell: LaneNews) => void>();

  listen(listener: (from: number, author: number, tell: LaneNews) => void): void {
    this.#listeners.add(listener);
  }

  /** `from`: the session whose node told it. */
  tell(from: number, author: number, news: LaneNews): void {
    for (const listener of this.#listeners) listener(from, author, news);
  }
}

export interface LaneNews {
  readonly stage: Stage;
  readonly seq: number;
  readonly atUs: number;
  readonly proposedUs: number;
}
