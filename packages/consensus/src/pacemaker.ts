/** D, the delay that all timers are made of, and who is thought to be alive (R17). Milliseconds. */

import type { UnixMs, ValidatorIndex, ValidatorSet, Weight } from '@squad/types';
import type { ConsensusOptions } from './api.ts';

/** D is this many times the smoothed time from own vote to quorum. */
const MARGIN = 3;
/** The time that a leader leaves between two blocks is this many times the same. */
const BLOCK_INTERVAL_VOTES = 5;
/** Weight of a new sample in the smoothed one. */
const SMOOTHING = 1 / 8;
/** The same of a proposal that came after its view was given up. */
const LATE_SMOOTHING = 1 / 4;
/** By how much D is to be longer than what such a proposal would have needed. */
const LATE_MARGIN = 1.5;
/** Growth of D with each uncertified view after the second in a row. */
const GROWTH = 1.5;

export class Pacemaker {
  readonly #options: ConsensusOptions;
  readonly #set: ValidatorSet;
  readonly #quorum: Weight;
  readonly #self: ValidatorIndex | undefined;
  readonly #lastHeardMs: UnixMs[];
  #smoothedMs: number | undefined;
  #uncertifiedViews = 0;
  #delayMs: number;

  constructor(
    options: ConsensusOptions,
    set: ValidatorSet,
    quorum: Weight,
    self: ValidatorIndex | undefined,
    nowMs: UnixMs,
  ) {
    this.#options = options;
    this.#set = set;
    this.#quorum = quorum;
    this.#self = self;
    this.#lastHeardMs = set.validators.map(() => nowMs);
    this.#delayMs = this.#computeDelayMs();
  }

  /** D now. */
  get delayMs(): number {
    return this.#delayMs;
  }

  #computeDelayMs(): number {
    const { initialDelayMs, minDelayMs, maxDelayMs } = this.#options;
    const base = this.#smoothedMs === undefined ? initialDelayMs : MARGIN * this.#smoothedMs;
    const grown = Math.max(base, minDelayMs) * GROWTH ** Math.max(0, this.#uncertifiedViews - 2);
    return Math.min(grown, maxDelayMs);
  }

  /**
   * How long a block is given before the next one, where less gathers in it than it costs: several times what a vote takes here,
   * so nothing to speak of for a lone validator, little between fast machines, and more where all wait for one processor.
   */
  get blockIntervalMs(): number {
    const most = this.#options.blockIntervalMs;
    return this.#smoothedMs === undefined ? most : Math.min(most, BLOCK_INTERVAL_VOTES * this.#smoothedMs);
  }

  get retryMs(): number {
    return Math.max(2 * this.delayMs, this.#options.retryMs);
  }

  heard(from: ValidatorIndex, nowMs: UnixMs): void {
    this.#lastHeardMs[from] = nowMs;
  }

  /** Its channel is gone: silent from now on, until it is heard again. */
  lost(peer: ValidatorIndex): void {
    this.#lastHeardMs[peer] = Number.NEGATIVE_INFINITY;
  }

  /** A view ended with a notarization, `sinceOwnVoteMs` after the own vote if there was one. */
  certified(sinceOwnVoteMs: number | undefined): void {
    this.#uncertifiedViews = 0;
    if (sinceOwnVoteMs !== undefined) {
      // No sample may say more than what D can be: a clock that jumped, or a process that was suspended, would spoil D for long.
      const sampleMs = Math.min(Math.max(0, sinceOwnVoteMs), this.#options.maxDelayMs / MARGIN);
      const before = this.#smoothedMs ?? sampleMs;
      this.#smoothedMs = before + (sampleMs - before) * SMOOTHING;
    }
    this.#delayMs = this.#computeDelayMs();
  }

  /**
   * A proposal came `waitedMs` after its leader was to propose, and the view was given up already. Who is slow to hear from a
   * leader votes last, its vote makes the quorum, and the time from own vote to quorum says nothing of how far away the leader
   * is. One that delays its proposals on purpose gains little: each counts for at most twice the present D, and views of others
   * that are certified meanwhile take back more.
   */
  late(waitedMs: number): void {
    const present = Math.max(
      this.#smoothedMs ?? this.#options.initialDelayMs / MARGIN,
      this.#options.minDelayMs / MARGIN,
    );
    const needed = (LATE_MARGIN * waitedMs) / 2 / MARGIN;
    if (needed <= present) return;
    this.#smoothedMs =
      present + (Math.min(needed, 2 * present, this.#options.maxDelayMs / MARGIN) - present) * LATE_SMOOTHING;
    this.#delayMs = this.#computeDelayMs();
  }

  uncertified(): void {
    // Beyond this D is at its maximum whatever it started from; the count must not grow without end.
    this.#uncertifiedViews = Math.min(this.#uncertifiedViews + 1, 64);
    this.#delayMs = this.#computeDelayMs();
  }

  /** Nothing was heard from this leader for long, or its channel is gone, while a quorum is heard. Without a quorum nobody is skipped. */
  isInactive(leader: ValidatorIndex, nowMs: UnixMs): boolean {
    if (leader === this.#self) return false;
    const horizonMs = Math.max(this.#options.inactiveAfterMs, this.#options.heartbeatMs + 4 * this.delayMs);
    const silent = (validator: ValidatorIndex) =>
      validator !== this.#self && nowMs - this.#lastHeardMs[validator]! > horizonMs;
    if (!silent(leader)) return false;
    let heardWeight = 0;
    this.#set.validators.forEach(({ weight }, validator) => {
      if (!silent(validator)) heardWeight += weight;
    });
    return heardWeight >= this.#quorum;
  }
}
