/** The runs of one bench: which systems at which rates, by turns, and what their results amount to. */

import type { BenchOptions } from '../options.ts';
import { faultOf } from '../options.ts';
import { baselineOf, entryOf, kneeOf } from '../report/combine.ts';
import type { Baseline, Entry, RunResult } from '../report/schema.ts';
import { summarize } from '../report/summarize.ts';
import type { System } from '../systems/system.ts';
import { type MeasureContext, measure } from './measurement.ts';

/** Steps of a sweep, as shares of what the system took without a rate. */
export const SWEEP_SHARES: readonly number[] = [0.05, 0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1];
/** SQUAD is also measured at this share of what each other system takes: a load that both bear. */
const COMMON_SHARE = 0.5;

export interface SuiteResult {
  readonly own: Entry;
  readonly baselines: Readonly<Record<string, Baseline>>;
  readonly sweep: Readonly<Record<string, readonly Entry[]>>;
  readonly kneeTps: number | null;
}

/** `systems`: SQUAD first, then what it is compared with. `onRun` hears of each run's result. */
export async function runSuite(
  context: MeasureContext,
  systems: readonly [System, ...System[]],
  onRun: (result: RunResult) => void,
): Promise<SuiteResult> {
  const { options } = context;
  const rate = options.rate === 'max' || options.rate === 'sweep' ? undefined : Number(options.rate);
  const first = await interleaved(
    context,
    systems.map((system) => ({ system, rate })),
    onRun,
  );
  const own = first[0]!;
  const baselines = Object.fromEntries(first.slice(1).map((entry) => [entry.system, baselineOf(own, entry)]));
  if (options.rate !== 'sweep') return { own, baselines, sweep: {}, kneeTps: null };
  const steps = systems.flatMap((system, index) =>
    SWEEP_SHARES.map((share) => ({ system, rate: rounded(share * first[index]!.finalizedTps) })),
  );
  const common = first
    .slice(1)
    .map((entry) => ({ system: systems[0], rate: rounded(COMMON_SHARE * entry.finalizedTps) }));
  const entries = await interleaved(context, [...steps, ...common], onRun);
  const sweep = Object.fromEntries(
    systems.map(({ id }) => [
      id,
      entries.filter(({ system }) => system === id).sort((a, b) => (a.rate ?? 0) - (b.rate ?? 0)),
    ]),
  );
  return { own, baselines, sweep, kneeTps: kneeOf(sweep[own.system]!) };
}

interface Step {
  readonly system: System;
  readonly rate: number | undefined;
}

/** Each step once, then each once more, so that what changes on the machine meets all alike. */
async function interleaved(
  context: MeasureContext,
  steps: readonly Step[],
  onRun: (result: RunResult) => void,
): Promise<Entry[]> {
  const { options } = context;
  const runs: RunResult[][] = steps.map(() => []);
  for (let repetition = 0; repetition < options.repetitions; repetition++) {
    for (const [index, step] of steps.entries()) {
      const measured = await measure(context, { ...step, fault: faultFor(step.system, options) });
      const result = summarize(measured, options.transactionBytes);
      runs[index]!.push(result);
      onRun(result);
    }
  }
  return runs.map(entryOf);
}

/** One validator alone bears no fault, and a system that is compared runs as it is. */
function faultFor({ id }: System, { faults }: BenchOptions) {
  return id === 'squad' ? faultOf(faults) : faultOf('none');
}

function rounded(rate: number): number {
  return Math.max(1, Math.round(rate));
}
