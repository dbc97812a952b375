/** When one whom we ask may be asked again: later each time that it fails, much later each time that it lies. Pure. */

/** Durations in milliseconds. */
export interface StandingTimes {
  /** Before one that failed is asked again: this, doubled each time, with jitter. */
  readonly firstBackOffMs: number;
  readonly maxBackOffMs: number;
  /** How long one that lied is not asked: this, doubled each time. */
  readonly distrustMs: number;
  readonly maxDistrustMs: number;
}

export const DEFAULT_STANDING_TIMES: StandingTimes = {
  firstBackOffMs: 200,
  maxBackOffMs: 10_000,
  distrustMs: 60_000,
  maxDistrustMs: 3_600_000,
};

/** Doublings after which a delay grows no more, whatever its limit. */
const MAX_DOUBLINGS = 30;

/**
 * Moments are milliseconds of one clock, the caller's.
 *
 * @example
 * const standing = new Standing(DEFAULT_STANDING_TIMES);
 * standing.distrust(performance.now());
 * if (performance.now() >= standing.readyAtMs) console.log('ask it again');
 */
export class Standing {
  /** It is not asked before this moment because it lied. */
  distrustedUntilMs: number | undefined;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #lies = 0;
  readonly #times: StandingTimes;

  constructor(times: StandingTimes) {
    this.#times = times;
  }

  /** The moment from which on it may be asked. */
  get readyAtMs(): number {
    return Math.max(this.#notBeforeMs, this.distrustedUntilMs ?? Number.NEGATIVE_INFINITY);
  }

  /** It gave something that was new and good. */
  delivered(): void {
    this.#failures = 0;
  }

  /** Later each time, between half and all of the doubled delay; `random` from 0 to 1. */
  backOff(nowMs: number, random: number): void {
    const { firstBackOffMs, maxBackOffMs } = this.#times;
    const delayMs = Math.min(maxBackOffMs, firstBackOffMs * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, MAX_DOUBLINGS);
    this.#notBeforeMs = nowMs + delayMs * (0.5 + random / 2);
  }

  distrust(nowMs: number): void {
    const { distrustMs, maxDistrustMs } = this.#times;
    this.distrustedUntilMs = nowMs + Math.min(maxDistrustMs, distrustMs * 2 ** this.#lies);
    this.#lies = Math.min(this.#lies + 1, MAX_DOUBLINGS);
  }
}
