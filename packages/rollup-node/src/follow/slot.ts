/** What is known of one sequencer: its feed, when it may be tried again, and whether it is trusted to try. */

import type { Height, Hex, ValidatorIndex } from '@squad/types';
import type { FeedStatus, FollowerOptions } from './api.ts';
import type { FeedConnection } from './connection.ts';

/** Its node key as hex: what it is known by whatever its place in the set. */
export type SequencerKey = Hex;

export type SlotTimes = Pick<FollowerOptions, 'distrustMs' | 'maxDistrustMs' | 'firstBackOffMs' | 'maxBackOffMs'>;

export class SequencerSlot {
  /** Its place in the set of now. */
  index: ValidatorIndex;
  readonly key: SequencerKey;
  state: FeedStatus['state'] = 'idle';
  connection: FeedConnection | undefined;
  /** Its subscription asks for blocks, not for its head alone. */
  active = false;
  /** Times that it was asked for what it had not sent, since it last sent something new. */
  asked = 0;
  /** The highest height that it claims to be final. */
  claimedHead: Height | undefined;
  triedAtMs = Number.NEGATIVE_INFINITY;
  distrustedUntilMs: number | undefined;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #lies = 0;
  readonly #times: SlotTimes;

  constructor(index: ValidatorIndex, key: SequencerKey, times: SlotTimes) {
    this.index = index;
    this.key = key;
    this.#times = times;
  }

  mayBeOpened(nowMs: number): boolean {
    return this.state === 'idle' && nowMs >= this.#notBeforeMs && nowMs >= (this.distrustedUntilMs ?? nowMs);
  }

  /** It sent a block that was new and good. */
  delivered(): void {
    this.#failures = 0;
    this.asked = 0;
  }

  ended(): void {
    this.state = 'idle';
    this.connection = undefined;
    this.active = false;
    this.asked = 0;
  }

  /** Later each time, between half and all of the doubled delay; `random` from 0 to 1. */
  backOff(nowMs: number, random: number): void {
    const { firstBackOffMs, maxBackOffMs } = this.#times;
    const delayMs = Math.min(maxBackOffMs, firstBackOffMs * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 30);
    this.#notBeforeMs = nowMs + delayMs * (0.5 + random / 2);
  }

  distrust(nowMs: number): void {
    const { distrustMs, maxDistrustMs } = this.#times;
    this.distrustedUntilMs = nowMs + Math.min(maxDistrustMs, distrustMs * 2 ** this.#lies);
    this.#lies = Math.min(this.#lies + 1, 30);
  }
}
