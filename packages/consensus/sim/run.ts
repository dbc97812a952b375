/** One schedule from its seed, and what came of it. */

import { InvariantViolation } from './invariants.ts';
import { drawSchedule, type Schedule, type ScheduleOptions } from './schedule.ts';
import { World } from './world.ts';

export interface Failure {
  readonly invariant: string;
  readonly message: string;
  readonly trace: string;
}

export interface RunResult {
  readonly schedule: Schedule;
  /** Of every event, in order: two runs of a seed have the same. */
  readonly logHash: string;
  readonly counts: ReadonlyMap<string, number>;
  readonly steps: number;
  readonly finalHeight: number;
  readonly failure: Failure | undefined;
}

/** `traceLines`: how many of the last events a failure's trace holds. */
export function runSchedule(seed: number, options: ScheduleOptions = {}, traceLines = 60): RunResult {
  const schedule = drawSchedule(seed, options);
  const world = new World(schedule, traceLines);
  let failure: Failure | undefined;
  try {
    world.run();
  } catch (error) {
    const invariant = error instanceof InvariantViolation ? error.invariant : 'never throws';
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    failure = { invariant, message, trace: world.trace.report() };
  }
  return {
    schedule,
    logHash: world.trace.hash,
    counts: world.trace.counts,
    steps: world.invariants.steps,
    finalHeight: world.invariants.chain.length - 1,
    failure,
  };
}

export function describeSchedule({ seed, weights, faults, byzantine, troubleMs, latencyMs }: Schedule): string {
  const evil = [...byzantine].map(([index, name]) => `n${index} ${name}`).join(', ');
  return (
    `seed ${seed}: weights ${weights.join(',')}; faults ${[...faults].join(' ') || 'none'}; ` +
    `Byzantine ${evil || 'none'}; ${troubleMs} ms of trouble, links of ${latencyMs} ms`
  );
}
