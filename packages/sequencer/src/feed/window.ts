/** What is on its way to one rollup node: which heights, how many bytes, and which height is to be posted next. */

import { type Height, MAX_FEED_UNACKNOWLEDGED_BLOCKS, MAX_FEED_UNACKNOWLEDGED_BYTES } from '@squad/types';

/** When a final block may be posted on this stream, by the monotonic clock; 0: now. */
export type DueAt = (height: Height) => number;

export type Turn =
  | { readonly type: 'post'; readonly height: Height }
  /** Nothing may be posted before this moment; undefined: before something happens. */
  | { readonly type: 'wait'; readonly untilMs: number | undefined };

export class FeedWindow {
  /** Everything up to here was acknowledged, or not asked for. */
  #acknowledged: Height;
  readonly #postedFinal = new Set<Height>();
  readonly #bytes = new Map<Height, number>();
  #totalBytes = 0;

  constructor(fromHeight: Height) {
    this.#acknowledged = fromHeight - 1;
  }

  acknowledge(height: Height): void {
    if (height <= this.#acknowledged) return;
    this.#acknowledged = height;
    for (const posted of this.#postedFinal) if (posted <= height) this.#postedFinal.delete(posted);
    for (const [posted, bytes] of this.#bytes) {
      if (posted > height) continue;
      this.#totalBytes -= bytes;
      this.#bytes.delete(posted);
    }
  }

  /** Blocks that are on their way. */
  get blocks(): number {
    return this.#bytes.size;
  }

  get bytes(): number {
    return this.#totalBytes;
  }

  hasRoom(): boolean {
    return this.#totalBytes < MAX_FEED_UNACKNOWLEDGED_BYTES;
  }

  /** Whether a height is wanted now: above what is acknowledged, and not too far. */
  covers(height: Height): boolean {
    return height > this.#acknowledged && height <= this.#acknowledged + MAX_FEED_UNACKNOWLEDGED_BLOCKS;
  }

  postedSoft(height: Height, bytes: number): void {
    this.#count(height, bytes);
  }

  postedFinal(height: Height, bytes: number): void {
    this.#postedFinal.add(height);
    this.#count(height, bytes);
  }

  /** The lowest height up to `head` that is due. Own blocks may overtake others': the reader puts them in order. */
  turn(head: Height, dueAt: DueAt, nowMs: number): Turn {
    let untilMs: number | undefined;
    if (this.hasRoom()) {
      for (let height = this.#acknowledged + 1; height <= head && this.covers(height); height++) {
        if (this.#postedFinal.has(height)) continue;
        const due = dueAt(height);
        if (due <= nowMs) return { type: 'post', height };
        untilMs = Math.min(untilMs ?? due, due);
      }
    }
    return { type: 'wait', untilMs };
  }

  #count(height: Height, bytes: number): void {
    // Acknowledged meanwhile: no longer on its way.
    if (height <= this.#acknowledged) return;
    this.#bytes.set(height, (this.#bytes.get(height) ?? 0) + bytes);
    this.#totalBytes += bytes;
  }
}
