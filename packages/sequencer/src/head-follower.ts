/**
 * How a node that is no validator gets to the head and stays there: validators send it nothing, so it asks them for the final
 * blocks after its own, again and again. What they answer is judged by the core like every range (R21).
 */

import {
  faultyWeight,
  type Height,
  MAX_BODY_LAG_BLOCKS,
  totalWeight,
  type ValidatorIndex,
  type ValidatorSet,
  weightOf,
} from '@squad/types';
import type { BlockFetcher } from './block-fetcher.ts';

/** Milliseconds between two questions at the head. */
export const FOLLOW_INTERVAL_MS = 200;
/** Milliseconds for which it counts that a validator had little or nothing more than this node. */
const HEAD_SEEN_FOR_MS = 10_000;

export interface HeadFollowerConfig {
  readonly validatorSet: ValidatorSet;
  readonly blocks: Pick<BlockFetcher, 'fetchRange'>;
  readonly head: () => Height;
  /** Resolves once the core has taken what was fetched before, and that is durable. */
  readonly taken: () => Promise<void>;
  /** What was fetched did not move the head. */
  readonly onNothingTaken: () => void;
  readonly now: () => number;
}

export class HeadFollower {
  readonly #config: HeadFollowerConfig;
  /** When a validator was last seen to be hardly ahead of this node. */
  readonly #seenAtMs = new Map<ValidatorIndex, number>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(config: HeadFollowerConfig) {
    this.#config = config;
  }

  /** R19: by what so many validators lately said that one of them at least is honest. */
  get sawHead(): boolean {
    const { validatorSet, now } = this.#config;
    const lately = [...this.#seenAtMs].filter(([, atMs]) => now() - atMs < HEAD_SEEN_FOR_MS).map(([peer]) => peer);
    return weightOf(validatorSet, lately) > faultyWeight(totalWeight(validatorSet));
  }

  start(): void {
    this.#next(0);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #next(delayMs: number): void {
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#follow(), delayMs);
  }

  async #follow(): Promise<void> {
    const { blocks, head, taken, onNothingTaken, now } = this.#config;
    const before = head();
    const answers = await blocks.fetchRange(before + 1, [], 'validators');
    for (const peer of answers.without) this.#seenAtMs.set(peer, now());
    if (answers.from === undefined) return this.#next(FOLLOW_INTERVAL_MS);
    await taken();
    if (head() === before) {
      onNothingTaken();
      return this.#next(FOLLOW_INTERVAL_MS);
    }
    const isFarBehind = answers.blocks > MAX_BODY_LAG_BLOCKS;
    if (isFarBehind) this.#seenAtMs.clear();
    else this.#seenAtMs.set(answers.from, now());
    this.#next(isFarBehind ? 0 : FOLLOW_INTERVAL_MS);
  }
}
