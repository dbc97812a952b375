/**
 * Blocks that have come and wait: final ones, by feed, for those before them; soft ones to be verified; and the verified
 * bodies of soft ones, which their final blocks may leave out. All bounded.
 */

import type { ProvenBatch, ProvenBlock } from '@squad/client';
import {
  type BlockHash,
  type Bytes32,
  blockHashHex,
  type FeedBlock,
  type Height,
  MAX_FEED_UNACKNOWLEDGED_BLOCKS,
  toHex,
} from '@squad/types';
import { MAX_HELD_SOFT_BLOCKS, MAX_HELD_SOFT_BYTES, MAX_WAITING_BYTES, MAX_WAITING_SOFT_BLOCKS } from './api.ts';
import type { SequencerKey } from './slot.ts';

export interface WaitingBlock {
  readonly from: SequencerKey;
  readonly block: FeedBlock;
  readonly bytes: number;
}

export class Inbox {
  readonly #finals = new Map<SequencerKey, Map<Height, WaitingBlock>>();
  /** By feed and hash: a feed that garbles a block must not keep out another that does not. */
  readonly #softs = new Map<string, WaitingBlock>();
  readonly #held = new Map<
    BlockHash,
    { readonly height: Height; readonly batches: readonly ProvenBatch[]; bytes: number }
  >();
  #finalBytes = 0;
  #softBytes = 0;
  #heldBytes = 0;

  /** Above what a feed may send: its window begins at what was acknowledged, so at the head at most. */
  static isAhead(height: Height, head: Height): boolean {
    return height > head + MAX_FEED_UNACKNOWLEDGED_BLOCKS;
  }

  /** False if there is no room. A block that this feed sent before at the height is replaced. */
  addFinal(waiting: WaitingBlock): boolean {
    if (this.#finalBytes + waiting.bytes > MAX_WAITING_BYTES) return false;
    const ofFeed = this.#finals.get(waiting.from) ?? new Map<Height, WaitingBlock>();
    this.#finals.set(waiting.from, ofFeed);
    const { height } = waiting.block.block.header;
    this.#finalBytes += waiting.bytes - (ofFeed.get(height)?.bytes ?? 0);
    ofFeed.set(height, waiting);
    return true;
  }

  /** Some feed's block at this height, taken out. */
  takeFinal(height: Height): WaitingBlock | undefined {
    for (const ofFeed of this.#finals.values()) {
      const waiting = ofFeed.get(height);
      if (!waiting) continue;
      ofFeed.delete(height);
      this.#finalBytes -= waiting.bytes;
      return waiting;
    }
    return undefined;
  }

  /** Not if it is known as verified, or waits already. */
  addSoft(waiting: WaitingBlock): void {
    const hash = blockHashHex(waiting.block.block.header);
    const key = `${waiting.from} ${hash}`;
    if (this.#softs.has(key) || this.#held.has(hash)) return;
    this.#softs.set(key, waiting);
    this.#softBytes += waiting.bytes;
    while (this.#softs.size > MAX_WAITING_SOFT_BLOCKS || this.#softBytes > MAX_HELD_SOFT_BYTES) this.takeSoft();
  }

  /** The soft block that waits longest, taken out. */
  takeSoft(): WaitingBlock | undefined {
    for (const [key, waiting] of this.#softs) {
      this.#softs.delete(key);
      this.#softBytes -= waiting.bytes;
      return waiting;
    }
    return undefined;
  }

  holdSoft(block: ProvenBlock): void {
    const bytes = block.batches.reduce((sum, { body }) => sum + body.length, 0);
    this.#held.set(toHex(block.hash), { height: block.header.height, batches: block.batches, bytes });
    this.#heldBytes += bytes;
    for (const hash of this.#held.keys()) {
      if (this.#held.size <= MAX_HELD_SOFT_BLOCKS && this.#heldBytes <= MAX_HELD_SOFT_BYTES) return;
      this.#drop(hash);
    }
  }

  heldBatches(hash: Bytes32): readonly ProvenBatch[] | undefined {
    return this.#held.get(toHex(hash))?.batches;
  }

  /** Whether a feed has sent blocks above this height: something before them is missing. */
  hasFinalAbove(height: Height): boolean {
    for (const ofFeed of this.#finals.values()) for (const at of ofFeed.keys()) if (at > height) return true;
    return false;
  }

  /** Everything at or below the head has served. */
  advance(head: Height): void {
    for (const [from, ofFeed] of this.#finals) {
      for (const [height, { bytes }] of ofFeed) {
        if (height > head) continue;
        ofFeed.delete(height);
        this.#finalBytes -= bytes;
      }
      if (ofFeed.size === 0) this.#finals.delete(from);
    }
    for (const [hash, { height }] of this.#held) if (height <= head) this.#drop(hash);
  }

  /** A feed ended, or begins anew. Its soft blocks may stay: they are judged by themselves. */
  forgetFeed(from: SequencerKey): void {
    for (const { bytes } of this.#finals.get(from)?.values() ?? []) this.#finalBytes -= bytes;
    this.#finals.delete(from);
  }

  #drop(hash: BlockHash): void {
    this.#heldBytes -= this.#held.get(hash)!.bytes;
    this.#held.delete(hash);
  }
}
