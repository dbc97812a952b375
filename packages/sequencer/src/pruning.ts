/** Lets go of old bodies where the operator wants a bound on the disk (R23): behind complete, indexed final blocks only. */

import type { Logger } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import { batchDigest, type Height, type SignedBatchHeader, toHex } from '@squad/types';
import type { Bodies } from './bodies.ts';

/** A pruning looks at every block that it keeps, so it comes once in this part of them: so much more may be held. */
const PRUNINGS_IN_KEPT = 16;

export interface PrunerConfig {
  readonly store: Pick<NodeStore, 'pruneBodiesBefore' | 'transactionsIndexedThrough'>;
  readonly bodies: Pick<Bodies, 'complete' | 'from' | 'letGoBefore'>;
  /** Final blocks, up to the last complete one, whose bodies stay; undefined: all. */
  readonly keepBodies: number | undefined;
  /** Batches that may still be ordered. */
  readonly unordered: () => readonly SignedBatchHeader[];
  /** Calls back once all blocks that `unordered` takes for ordered are durable. */
  readonly whenDurable: (callback: () => void) => void;
  readonly logger: Logger;
}

export class Pruner {
  readonly #config: PrunerConfig;
  readonly #keepBodies: number;
  readonly #interval: number;
  #isDue = false;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(config: PrunerConfig) {
    this.#config = config;
    this.#keepBodies = config.keepBodies ?? Number.POSITIVE_INFINITY;
    this.#interval = Math.ceil(this.#keepBodies / PRUNINGS_IN_KEPT);
  }

  /** More bodies are complete, or more transactions indexed. */
  onProgress(): void {
    if (this.#isDue || this.#stopped || this.#lowestKept() - this.#config.bodies.from < this.#interval) return;
    this.#isDue = true;
    // Before that, a batch may be neither unordered nor of a block that the store knows, and would be lost.
    this.#config.whenDurable(() => {
      if (!this.#stopped) this.#running = this.#prune();
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  #lowestKept(): Height {
    const { store, bodies } = this.#config;
    return Math.min(bodies.complete - this.#keepBodies, store.transactionsIndexedThrough) + 1;
  }

  async #prune(): Promise<void> {
    const { store, bodies, unordered, logger } = this.#config;
    const height = this.#lowestKept();
    const keep = unordered().map(({ header }) => toHex(batchDigest(header)));
    try {
      await Promise.all([store.pruneBodiesBefore(height, keep), bodies.letGoBefore(height)]);
      logger.debug({ height }, 'bodies of final blocks below this height are not kept any more');
    } catch (error) {
      logger.error({ err: error, height }, 'bodies of old final blocks could not be pruned');
    } finally {
      this.#isDue = false;
    }
  }
}
