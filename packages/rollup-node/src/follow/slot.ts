/** What is known of one sequencer: its feed, when it may be tried again, and whether it is trusted to try. */

import { Standing, type StandingTimes } from '@squad/client';
import type { Height, Hex, ValidatorIndex } from '@squad/types';
import type { FeedStatus } from './api.ts';
import type { FeedConnection } from './connection.ts';

/** Its node key as hex: what it is known by whatever its place in the set. */
export type SequencerKey = Hex;

export class SequencerSlot {
  /** Its place in the set of now. */
  index: ValidatorIndex;
  readonly key: SequencerKey;
  readonly standing: Standing;
  state: FeedStatus['state'] = 'idle';
  connection: FeedConnection | undefined;
  /** Its subscription asks for blocks, not for its head alone. */
  active = false;
  /** Times that it was asked for what it had not sent, since it last sent something new. */
  asked = 0;
  /** The highest height that it claims to be final. */
  claimedHead: Height | undefined;
  triedAtMs = Number.NEGATIVE_INFINITY;

  constructor(index: ValidatorIndex, key: SequencerKey, times: StandingTimes) {
    this.index = index;
    this.key = key;
    this.standing = new Standing(times);
  }

  get distrustedUntilMs(): number | undefined {
    return this.standing.distrustedUntilMs;
  }

  mayBeOpened(nowMs: number): boolean {
    return this.state === 'idle' && nowMs >= this.standing.readyAtMs;
  }

  /** It sent a block that was new and good. */
  delivered(): void {
    this.standing.delivered();
    this.asked = 0;
  }

  ended(): void {
    this.state = 'idle';
    this.connection = undefined;
    this.active = false;
    this.asked = 0;
  }
}
