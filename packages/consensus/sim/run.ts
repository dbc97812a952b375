/** One schedule, and what came of it. */

import { ForkConvicted, InvariantViolation } from './invariants/index.ts';
import { rememberRoots } from './memo.ts';
import { drawSchedule, type Schedule, type ScheduleOptions } from './schedule.ts';
import { World } from './world.ts';

export interface Failure {
  readonly invariant: string;
  readonly message: string;
  readonly trace: string;
}

export interface RunResult {
  readonly schedule: Schedule;
  /** Of every event, in order: two runs of a schedule have the same. */
  readonly logHash: string;
  readonly counts: ReadonlyMap<string, number>;
  /** What the faults did, by the names with which a schedule can leave them out. */
  readonly acts: readonly string[];
  readonly steps: number;
  readonly finalHeight: number;
  readonly failure: Failure | undefined;
}

/** `traceLines`: how many of the last events a failure's trace holds. */
export function runSchedule(schedule: Schedule, traceLines = 60): RunResult {
  rememberRoots();
  const world = new World(schedule, traceLines);
  let failure: Failure | undefined;
  try {
    world.run();
  } catch (error) {
    if (!(error instanceof ForkConvicted)) {
      const invariant = error instanceof InvariantViolation ? error.invariant : 'never throws';
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      failure = { invariant, message, trace: world.trace.report() };
    }
  }
  return {
    schedule,
    logHash: world.trace.hash,
    counts: world.trace.counts,
    acts: world.acts,
    steps: world.steps,
    finalHeight: world.final.chain.length - 1,
    failure,
  };
}

export function runSeed(seed: number, options: ScheduleOptions = {}, traceLines = 60): RunResult {
  return runSchedule(drawSchedule(seed, options), traceLines);
}
