/**
 * Behind the final head: sees to it that every body of every final block is held, in height order, and hands complete
 * blocks on: to the core (R21), and to the indexer of transactions.
 */

import type { Logger } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import { type BatchRef, Block, type Height, toHex } from '@squad/types';
import type { BatchFetcher } from './batch-fetcher.ts';

/** Final blocks whose bodies are fetched at the same time when this node is behind. */
export const BODIES_FETCHED_AHEAD_BLOCKS = 16;
const RETRY_AFTER_MS = 500;
const META_KEY = 'bodiesComplete';
/** Blocks between two notes of how far the bodies are complete; after a crash these are looked through again. */
const NOTE_INTERVAL_BLOCKS = 256;

export interface BodiesConfig {
  readonly store: NodeStore;
  readonly fetcher: Pick<BatchFetcher, 'fetch'>;
  readonly onComplete: (height: Height) => void;
  readonly logger: Logger;
}

export class Bodies {
  readonly #config: BodiesConfig;
  #complete: Height = 0;
  #noted: Height = 0;
  #head: Height = 0;
  #running: Promise<void> | undefined;
  #started = false;
  #stopped = false;
  /** Those who wait for a height to be complete. */
  readonly #waiting = new Set<{ readonly height: Height; readonly done: () => void }>();
  /** Ends what is being waited for. */
  #wake: (() => void) | undefined;

  constructor(config: BodiesConfig) {
    this.#config = config;
  }

  /** Every body up to here is held. */
  get complete(): Height {
    return this.#complete;
  }

  /** Resolves when every body up to the height is held, or the signal is aborted. */
  reached(height: Height, signal: AbortSignal): Promise<void> {
    if (this.#complete >= height || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = {
        height,
        done: () => {
          this.#waiting.delete(waiting);
          signal.removeEventListener('abort', waiting.done);
          resolve();
        },
      };
      this.#waiting.add(waiting);
      signal.addEventListener('abort', waiting.done);
    });
  }

  async start(): Promise<void> {
    const noted = await this.#config.store.getMeta(META_KEY);
    if (noted) this.#complete = Number(new DataView(noted.buffer, noted.byteOffset).getBigUint64(0));
    this.#noted = this.#complete;
    this.#started = true;
    // The core takes nothing for granted: untold, it would hold a complete node for one that lags and not vote (R21).
    if (this.#complete > 0) this.#config.onComplete(this.#complete);
    this.onFinal(this.#config.store.head);
  }

  /** Blocks up to this height are final and stored. Before the start it is only remembered: where to go on from is not known. */
  onFinal(height: Height): void {
    this.#head = Math.max(this.#head, height);
    if (!this.#started) return;
    if (!this.#running && !this.#stopped && this.#complete < this.#head) this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake?.();
    await this.#running;
    await this.#note();
  }

  async #run(): Promise<void> {
    try {
      while (this.#complete < this.#head && !this.#stopped) await this.#advance();
    } catch (error) {
      this.#config.logger.error({ err: error }, 'the bodies of final blocks could not be read');
    } finally {
      this.#running = undefined;
    }
  }

  /** Completes the next run of blocks. */
  async #advance(): Promise<void> {
    const { store, fetcher, onComplete } = this.#config;
    const last = Math.min(this.#head, this.#complete + BODIES_FETCHED_AHEAD_BLOCKS);
    const blocks: Block[] = [];
    for (let height = this.#complete + 1; height <= last; height++) {
      const stored = await store.readBlock(height);
      if (!stored) throw new Error(`final block ${height} is not in the store`);
      blocks.push(Block.deserialize(stored.block));
    }
    const missing: BatchRef[] = [];
    for (const ref of blocks.flatMap(({ refs }) => refs)) if (!(await this.#isHeld(ref))) missing.push(ref);
    // Peers that do not answer must not hold up a stop.
    if (missing.length > 0) await this.#orStopped(fetcher.fetch(missing, []));
    for (const block of blocks) {
      for (const ref of block.refs) {
        if (await this.#isHeld(ref)) continue;
        await this.#pause();
        return;
      }
      this.#complete = block.header.height;
      onComplete(this.#complete);
      for (const waiting of this.#waiting) if (waiting.height <= this.#complete) waiting.done();
      if (this.#complete - this.#noted >= NOTE_INTERVAL_BLOCKS) await this.#note();
    }
  }

  async #isHeld({ digest }: BatchRef): Promise<boolean> {
    const hex = toHex(digest);
    return this.#config.store.hasBatch(hex) || (await this.#config.store.readBatch(hex)) !== undefined;
  }

  async #note(): Promise<void> {
    if (this.#noted === this.#complete) return;
    const value = new Uint8Array(8);
    new DataView(value.buffer).setBigUint64(0, BigInt(this.#complete));
    this.#noted = this.#complete;
    await this.#config.store.setMeta(META_KEY, value);
  }

  async #pause(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await this.#orStopped(
      new Promise((resolve) => {
        timer = setTimeout(resolve, RETRY_AFTER_MS);
      }),
    );
    clearTimeout(timer);
  }

  #orStopped(work: Promise<void>): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#wake = resolve;
      work.then(resolve, reject);
    });
  }
}
