/** From single runs to entries with their spread, baselines with their ratios, and the knee of a sweep. Pure. */

import type { Baseline, Entry, RunResult, Spread } from './schema.ts';

/** A step of a sweep is borne if this share of what was offered became final, and nothing was refused. */
const BORNE_SHARE = 0.98;

/** The repetition with the median throughput, and how far the others are from it. `runs`: at least one. */
export function entryOf(runs: readonly RunResult[]): Entry {
  const sorted = [...runs].sort((a, b) => a.finalizedTps - b.finalizedTps);
  const middle = sorted[(sorted.length - 1) >> 1]!;
  const latency = (of: 'p50' | 'p99') => {
    const values = runs.flatMap(({ latencyMs }) => (latencyMs.final === null ? [] : [latencyMs.final[of]]));
    return values.length === 0 ? null : spreadOf(values);
  };
  return {
    ...middle,
    // A single lost transaction in any repetition is not hidden by the median.
    lost: Math.max(...runs.map(({ lost }) => lost)),
    duplicated: Math.max(...runs.map(({ duplicated }) => duplicated)),
    repetitions: runs.length,
    spread: {
      finalizedTps: spreadOf(runs.map(({ finalizedTps }) => finalizedTps)),
      finalP50Ms: latency('p50'),
      finalP99Ms: latency('p99'),
    },
  };
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { min: sorted[0]!, median: sorted[(sorted.length - 1) >> 1]!, max: sorted.at(-1)! };
}

export function baselineOf(own: Entry, baseline: Entry): Baseline {
  const divide = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined || b === 0 ? null : a / b;
  const finalizedTps = divide(own.finalizedTps, baseline.finalizedTps) ?? 0;
  return {
    ...baseline,
    ratio: finalizedTps,
    ratios: {
      finalizedTps,
      finalP50: divide(own.latencyMs.final?.p50, baseline.latencyMs.final?.p50),
      finalP99: divide(own.latencyMs.final?.p99, baseline.latencyMs.final?.p99),
      cpuSecondsPer1000: divide(own.cpuSecondsPer1000, baseline.cpuSecondsPer1000) ?? 0,
    },
  };
}

/** The highest rate that was borne; null if none was. Steps without a rate are no steps of an open loop. */
export function kneeOf(steps: readonly Entry[]): number | null {
  const borne = steps.filter(
    ({ rate, finalizedTps, offeredTps, rejected }) =>
      rate !== null && rejected === 0 && finalizedTps >= BORNE_SHARE * offeredTps,
  );
  return borne.length === 0 ? null : Math.max(...borne.map(({ offeredTps }) => offeredTps));
}
