/** A run of seeds, and what came of them: the unit of a campaign's work. */

import type { DrawOptions, Failure } from './mode.ts';
import { modeOf } from './modes.ts';

export interface WorkerData {
  readonly mode: string;
  readonly options: DrawOptions;
  /** The seed that is being run, for a watchdog on another thread. */
  readonly current: Int32Array;
}

export interface Chunk {
  readonly firstSeed: number;
  readonly seeds: number;
}

export interface FailedSchedule {
  readonly seed: number;
  readonly schedule: string;
  readonly failure: Failure;
}

export interface ChunkResult {
  readonly chunk: Chunk;
  readonly counts: ReadonlyMap<string, number>;
  readonly steps: number;
  readonly heights: number;
  readonly failed: readonly FailedSchedule[];
}

export async function runChunk(
  modeName: string,
  options: DrawOptions,
  chunk: Chunk,
  onSeed: (seed: number) => void,
): Promise<ChunkResult> {
  const mode = modeOf(modeName);
  if (!mode) throw new RangeError(`there is no mode "${modeName}"`);
  const counts = new Map<string, number>();
  const failed: FailedSchedule[] = [];
  let steps = 0;
  let heights = 0;
  for (let seed = chunk.firstSeed; seed < chunk.firstSeed + chunk.seeds; seed++) {
    onSeed(seed);
    const schedule = mode.draw(seed, options);
    const outcome = await mode.run(schedule, 0);
    steps += outcome.steps;
    heights += outcome.finalHeight;
    for (const [kind, count] of outcome.counts) counts.set(kind, (counts.get(kind) ?? 0) + count);
    if (outcome.failure) failed.push({ seed, schedule, failure: outcome.failure });
  }
  return { chunk, counts, steps, heights, failed };
}
