/**
 * Behind the final head: sees to it that every body of every final block is held, in height order, and hands complete
 * blocks on: to the core (R21), and to the indexer of transactions. Of a node that prunes (R23), only of the blocks whose
 * bodies it keeps: those below count as complete.
 */

import type { Logger } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import { type BatchRef, Block, type Height, MAX_BATCHES_PER_REQUEST, toHex } from '@squad/types';
import type { BatchFetcher } from './batch-fetcher.ts';

/** Blocks of a run, whose bodies are asked for together; fewer if they lack more than one request asks for. */
export const MAX_BLOCKS_PER_BODY_RUN = 64;
/** Runs that are fetched at the same time when this node is behind. */
export const BODY_RUNS_FETCHED_AHEAD = 4;
const RETRY_AFTER_MS = 500;
const META_KEY = 'bodiesComplete';
/** Blocks between two notes of how far the bodies are complete; after a crash these are looked through again. */
const NOTE_INTERVAL_BLOCKS = 256;

interface BodyRun {
  readonly blocks: readonly Block[];
  fetched: Promise<void>;
}

export interface BodiesConfig {
  readonly store: NodeStore;
  readonly fetcher: Pick<BatchFetcher, 'fetch'>;
  readonly onComplete: (height: Height) => void;
  /** Final blocks up to the head whose bodies are fetched; undefined: all. */
  readonly keepBodies?: number | undefined;
  readonly logger: Logger;
}

/** At the next start, bodies are looked for above `complete`; below `from` none are kept. */
export async function noteBodies(store: NodeStore, { complete, from }: HeldBodies): Promise<void> {
  const value = new DataView(new ArrayBuffer(16));
  value.setBigUint64(0, BigInt(complete));
  value.setBigUint64(8, BigInt(from));
  await store.setMeta(META_KEY, new Uint8Array(value.buffer));
}

async function readNoted(store: NodeStore): Promise<HeldBodies> {
  const noted = await store.getMeta(META_KEY);
  if (!noted) return { complete: 0, from: 1 };
  const value = new DataView(noted.buffer, noted.byteOffset, noted.byteLength);
  // A store from before pruning says only how far.
  const from = value.byteLength < 16 ? 1 : Number(value.getBigUint64(8));
  return { complete: Number(value.getBigUint64(0)), from };
}

/** The bodies of all final blocks from one height to the other are held. */
export interface HeldBodies {
  readonly from: Height;
  readonly complete: Height;
}

export class Bodies {
  readonly #config: BodiesConfig;
  #complete: Height = 0;
  #from: Height = 1;
  #noted: HeldBodies = { complete: 0, from: 1 };
  /** The block whose missing bodies were last told of. */
  #toldMissingAt: Height = 0;
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

  /** Every body from `from` up to here is held. */
  get complete(): Height {
    return this.#complete;
  }

  /** The lowest height whose bodies are kept. */
  get from(): Height {
    return this.#from;
  }

  /** For people, with final blocks up to the head: what is fetched, and what nobody has. */
  progress(head: Height): string {
    const next = this.#complete + 1;
    const fetching = `it is fetching the bodies of ${head - this.#complete} final blocks`;
    if (this.#toldMissingAt !== next) return fetching;
    return `${fetching}; no peer that was asked has those of block ${next}: if all have pruned them, start it with --keep-bodies`;
  }

  /** What is below the height may be gone from now on. Resolves once that is noted. */
  async letGoBefore(height: Height): Promise<void> {
    this.#from = Math.max(this.#from, height);
    await this.#note();
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
    this.#noted = await readNoted(this.#config.store);
    this.#complete = this.#noted.complete;
    this.#from = this.#noted.from;
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
      await this.#completeInRuns();
    } catch (error) {
      this.#config.logger.error({ err: error }, 'the bodies of final blocks could not be read');
    } finally {
      this.#running = undefined;
    }
  }

  /** While one run is waited for, those behind it are on their way. */
  async #completeInRuns(): Promise<void> {
    const runs: BodyRun[] = [];
    let next = this.#complete + 1;
    while (!this.#stopped) {
      if (this.#skipWhatIsNotKept()) dropBelow(runs, this.#complete + 1);
      next = Math.max(next, this.#complete + 1);
      while (runs.length < BODY_RUNS_FETCHED_AHEAD && next <= this.#head) {
        const run = await this.#begin(next);
        runs.push(run);
        next += run.blocks.length;
      }
      const [first] = runs;
      if (first === undefined) return;
      // Peers that do not answer must not hold up a stop.
      await this.#orStopped(first.fetched);
      if (await this.#completed(first)) {
        runs.shift();
      } else {
        await this.#pause();
        if (this.#stopped) return;
        const missing = await this.#missingOf(first.blocks);
        this.#tellMissing(missing.length);
        first.fetched = this.#fetch(missing);
      }
    }
  }

  /** Far behind, a node that prunes does without the bodies that it would let go of at the head (R23). */
  #skipWhatIsNotKept(): boolean {
    const { keepBodies, logger } = this.#config;
    const height = this.#head - (keepBodies ?? this.#head);
    if (height <= this.#complete) return false;
    logger.info(
      { from: this.#complete + 1, to: height },
      'the bodies of these final blocks are older than what is kept',
    );
    this.#from = height + 1;
    this.#completeTo(height);
    return true;
  }

  /** The next blocks, as many as lack what one request asks for, and their bodies' way here begun. */
  async #begin(from: Height): Promise<BodyRun> {
    const count = Math.min(MAX_BLOCKS_PER_BODY_RUN, this.#head - from + 1);
    const stored = await this.#config.store.readBlocks(from, count);
    if (stored.length < count) throw new Error(`final block ${from + stored.length} is not in the store`);
    let blocks = stored.map(({ block }) => Block.deserialize(block));
    let missing = await this.#missingOf(blocks);
    if (missing.length > MAX_BATCHES_PER_REQUEST) {
      const lacking = new Set(missing);
      let lacked = 0;
      const end = blocks.findIndex(({ refs }) => {
        lacked += refs.reduce((sum, ref) => sum + Number(lacking.has(ref)), 0);
        return lacked >= MAX_BATCHES_PER_REQUEST;
      });
      blocks = blocks.slice(0, end + 1);
      missing = missing.slice(0, lacked);
    }
    return { blocks, fetched: this.#fetch(missing) };
  }

  #fetch(missing: readonly BatchRef[]): Promise<void> {
    if (missing.length === 0) return Promise.resolve();
    const fetched = this.#config.fetcher.fetch(missing, []);
    fetched.catch(() => {}); // thrown where it is waited for
    return fetched;
  }

  async #missingOf(blocks: readonly Block[]): Promise<BatchRef[]> {
    const refs = blocks.flatMap((block) => block.refs);
    const digests = refs.map(({ digest }) => toHex(digest));
    const missing = new Set(await this.#config.store.missingBatches(digests));
    return missing.size === 0 ? [] : refs.filter((_, i) => missing.has(digests[i]!));
  }

  /** Tells how far the blocks are complete; false if one is not. */
  async #completed({ blocks }: BodyRun): Promise<boolean> {
    const missing = new Set(await this.#missingOf(blocks));
    const end = missing.size === 0 ? -1 : blocks.findIndex(({ refs }) => refs.some((ref) => missing.has(ref)));
    const height = blocks.at(end === -1 ? -1 : end - 1)?.header.height;
    if (end !== 0 && height !== undefined && height > this.#complete) {
      this.#completeTo(height);
      if (height - this.#noted.complete >= NOTE_INTERVAL_BLOCKS) await this.#note();
    }
    return end === -1;
  }

  #completeTo(height: Height): void {
    this.#complete = height;
    this.#config.onComplete(height);
    for (const waiting of this.#waiting) if (waiting.height <= height) waiting.done();
  }

  /** They may have been pruned wherever this node asks (R23): blocks are followed all the same. */
  #tellMissing(batches: number): void {
    const height = this.#complete + 1;
    if (batches === 0 || this.#toldMissingAt === height) return;
    this.#toldMissingAt = height;
    const message =
      'no peer that was asked has the bodies of this final block and some after it; they are asked for again. If all of ' +
      'them have pruned these (--keep-bodies), start this node with --keep-bodies too: it then does without';
    this.#config.logger.warn({ height, batches }, message);
  }

  async #note(): Promise<void> {
    const { complete, from } = this;
    if (this.#noted.complete === complete && this.#noted.from === from) return;
    this.#noted = { complete, from };
    await noteBodies(this.#config.store, this.#noted);
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

/** What was asked for those blocks may come, and is waited for no more. */
function dropBelow(runs: BodyRun[], height: Height): void {
  const kept = runs.map(({ blocks, fetched }) => ({
    blocks: blocks.filter(({ header }) => header.height >= height),
    fetched,
  }));
  runs.splice(0, Number.POSITIVE_INFINITY, ...kept.filter(({ blocks }) => blocks.length > 0));
}
