/** The L1 blocks that this node holds for confirmed, and whether it is a time to make one of them the anchor (R24). */

import { equalBytes, type L1BlockId, MAX_L1_ANCHOR_ADVANCE_BLOCKS, type UnixMs } from '@squad/types';

/** L1 blocks from the final head's anchor on: those above come once it has advanced. */
export const MAX_L1_BLOCKS_HELD = 128;
/** How long no anchor advances after the view of one that did was lost; doubled each time that it happens again. */
export const FIRST_ANCHOR_PAUSE_MS = 5_000;
export const MAX_ANCHOR_PAUSE_MS: number = 64 * FIRST_ANCHOR_PAUSE_MS;

/** seen: on the L1 that this node sees, on the parent's anchor. other: not on it. unknown: not yet. */
export type AnchorStanding = 'seen' | 'other' | 'unknown';

interface Held extends L1BlockId {
  readonly sinceMs: UnixMs;
}

export class L1Blocks {
  /** Ascending without gaps. */
  #held: readonly Held[] = [];
  #failures = 0;
  #failedAtMs: UnixMs = 0;

  get size(): number {
    return this.#held.length;
  }

  replace(blocks: readonly L1BlockId[], nowMs: UnixMs): void {
    this.#held = blocks.slice(0, MAX_L1_BLOCKS_HELD).map(({ number, hash }) => {
      const before = this.#at(number);
      return before && equalBytes(before.hash, hash) ? before : { number, hash, sinceMs: nowMs };
    });
  }

  /** How an anchor stands to its parent's, as far as this node has seen the L1. One that stays needs no L1. */
  judge(parent: L1BlockId, anchor: L1BlockId): AnchorStanding {
    if (anchor.number === parent.number) return 'seen';
    const seen = [parent, anchor].map(({ number, hash }) => {
      const held = this.#at(number);
      return held && equalBytes(held.hash, hash);
    });
    if (seen.includes(false)) return 'other';
    return seen.includes(undefined) ? 'unknown' : 'seen';
  }

  /** The anchor that this node would have after `parent`: the highest that others should know by now, or `parent` itself. */
  after(parent: L1BlockId, nowMs: UnixMs, delayMs: number): L1BlockId {
    if (this.#isPaused(nowMs)) return parent;
    const next = this.#held.findLast(
      (held) =>
        held.number > parent.number &&
        held.number <= parent.number + MAX_L1_ANCHOR_ADVANCE_BLOCKS &&
        isPast(held.sinceMs, nowMs, delayMs),
    );
    return next && this.judge(parent, next) === 'seen' ? next : parent;
  }

  /** The view of a block that advanced the anchor was lost. Another one during the pause does not make it longer. */
  failed(nowMs: UnixMs): void {
    if (this.#isPaused(nowMs)) return;
    this.#failures++;
    this.#failedAtMs = nowMs;
  }

  /** A block that advanced the anchor was certified. */
  advanced(): void {
    this.#failures = 0;
  }

  #isPaused(nowMs: UnixMs): boolean {
    if (this.#failures === 0) return false;
    const pauseMs = Math.min(FIRST_ANCHOR_PAUSE_MS * 2 ** (this.#failures - 1), MAX_ANCHOR_PAUSE_MS);
    return !isPast(this.#failedAtMs, nowMs, pauseMs);
  }

  #at(number: number): Held | undefined {
    return this.#held[number - (this.#held[0]?.number ?? 0)];
  }
}

/** A clock that was set back makes nobody wait. */
function isPast(sinceMs: UnixMs, nowMs: UnixMs, delayMs: number): boolean {
  return nowMs < sinceMs || nowMs >= sinceMs + delayMs;
}
