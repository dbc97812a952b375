/** Makes a failing schedule smaller as long as it breaks the same invariant: greedy, until nothing smaller fails. */

import type { Mode } from './mode.ts';

export interface Shrunk {
  readonly schedule: string;
  readonly runs: number;
}

/** `maxRuns`: how many schedules may be tried. `invariant`: which one must break again. */
export async function shrink(mode: Mode, failing: string, invariant: string, maxRuns = 600): Promise<Shrunk> {
  let schedule = failing;
  let runs = 0;
  for (let isSmaller = true; isSmaller; ) {
    isSmaller = false;
    const { simpler } = await mode.run(schedule, 0);
    for (const candidate of simpler()) {
      if (runs >= maxRuns) return { schedule, runs };
      runs++;
      if ((await mode.run(candidate, 0)).failure?.invariant !== invariant) continue;
      schedule = candidate;
      isSmaller = true;
      break;
    }
  }
  return { schedule, runs };
}
