/** Many schedules on several threads, with a watchdog: a schedule that never ends is a failure, too. */

import { Worker } from 'node:worker_threads';
import type { Chunk, ChunkResult, FailedSchedule, WorkerData } from './chunk.ts';
import type { DrawOptions, Mode } from './mode.ts';

/** How long one schedule may take. Far above what any does, on a machine that has hardly any time for it. */
const LONGEST_SCHEDULE_MS = 10 * 60_000;
const WATCH_INTERVAL_MS = 1_000;
/** Beside this file, in the language that it is in. */
const IS_SOURCE = import.meta.url.endsWith('.ts');
const WORKER_FILE = new URL(IS_SOURCE ? './worker.ts' : './worker.js', import.meta.url);

export interface CampaignOptions {
  readonly mode: Mode;
  readonly firstSeed: number;
  readonly seeds: number;
  readonly draw: DrawOptions;
  readonly workers: number;
  /** Schedules that a thread runs between two words to the campaign. */
  readonly chunkSeeds?: number;
  /** Whether to go on after a failure. */
  readonly keepGoing: boolean;
  readonly onProgress?: (progress: CampaignResult) => void;
}

export interface CampaignResult {
  readonly done: number;
  readonly counts: ReadonlyMap<string, number>;
  readonly steps: number;
  readonly heights: number;
  readonly failed: readonly FailedSchedule[];
}

export function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const { mode, firstSeed, seeds, workers, keepGoing, chunkSeeds = 50 } = options;
  const total = { done: 0, steps: 0, heights: 0, counts: new Map<string, number>(), failed: [] as FailedSchedule[] };
  let next = firstSeed;
  const end = firstSeed + seeds;
  const take = (): Chunk | undefined => {
    if (next >= end || (total.failed.length > 0 && !keepGoing)) return undefined;
    const chunk = { firstSeed: next, seeds: Math.min(chunkSeeds, end - next) };
    next += chunk.seeds;
    return chunk;
  };
  const add = (result: ChunkResult): void => {
    total.done += result.chunk.seeds;
    total.steps += result.steps;
    total.heights += result.heights;
    for (const [kind, count] of result.counts) total.counts.set(kind, (total.counts.get(kind) ?? 0) + count);
    total.failed.push(...result.failed);
    options.onProgress?.(total);
  };

  const thread = async (): Promise<void> => {
    const current = new Int32Array(new SharedArrayBuffer(4));
    const data: WorkerData = { mode: mode.name, options: options.draw, current };
    const worker = new Worker(WORKER_FILE, {
      workerData: data,
      ...(IS_SOURCE && { execArgv: ['--conditions=source'] }),
    });
    try {
      for (let chunk = take(); chunk; chunk = take()) add(await runOn(worker, chunk, current));
    } catch (error) {
      const seed = Atomics.load(current, 0);
      const message = error instanceof Error ? error.message : String(error);
      const failure = { invariant: 'ends', message, trace: '' };
      total.failed.push({ seed, schedule: mode.draw(seed, options.draw), failure });
    } finally {
      await worker.terminate();
    }
  };
  return Promise.all(Array.from({ length: Math.max(1, workers) }, thread)).then(() => total);
}

/** `current`: the seed that the thread is at. */
function runOn(worker: Worker, chunk: Chunk, current: Int32Array): Promise<ChunkResult> {
  return new Promise((resolve, reject) => {
    let seed = Atomics.load(current, 0);
    let sinceMs = performance.now();
    const watch = setInterval(() => {
      const now = Atomics.load(current, 0);
      if (now !== seed) {
        seed = now;
        sinceMs = performance.now();
      } else if (performance.now() - sinceMs > LONGEST_SCHEDULE_MS)
        settle(() => reject(new Error('a schedule does not end')));
    }, WATCH_INTERVAL_MS);
    const settle = (how: () => void): void => {
      clearInterval(watch);
      worker.off('message', onResult).off('error', onError).off('exit', onExit);
      how();
    };
    const onResult = (result: ChunkResult) => settle(() => resolve(result));
    const onError = (error: Error) => settle(() => reject(error));
    const onExit = (code: number) => onError(new Error(`the thread ended with code ${code}`));
    worker.on('message', onResult).on('error', onError).on('exit', onExit);
    worker.postMessage(chunk);
  });
}
