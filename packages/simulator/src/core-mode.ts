/** The fast simulator: the real consensus core with a model of everything around it. Hundreds of schedules a second. */

import {
  CORE_ADVERSARY_NAMES,
  CORE_FAULT_NAMES,
  drawSchedule,
  formatSchedule,
  parseSchedule,
  runSchedule,
  type ScheduleOptions,
  simplerSchedules,
} from '@squad/consensus/sim';
import type { Mode, Outcome } from './mode.ts';

export const coreMode: Mode = {
  name: 'core',
  faults: CORE_FAULT_NAMES,
  adversaries: CORE_ADVERSARY_NAMES,
  rules: {
    R8: ['a block that skips views', 'proposal'],
    R9: ['enteredView', 'certificate'],
    R10: ['a leader restarted without its proposal', 'a young batch ordered'],
    R11: ['fetchBatches', 'fetchBlock', 'NOTARIZE'],
    R12: ['notarization', 'soft', 'bodies of a notarized block held by more than F'],
    R13: ['NULLIFY'],
    R14: ['nullification', 'a view both nullified and notarized'],
    R15: ['finalization', 'final', 'several blocks final at once'],
    R16: ['restart', 'crash between sync and send', 'a crash after a sync looked at'],
    R20: ['delivered again after a crash', 'checkpoint'],
    R21: ['fetchRange'],
    E1: ['evidence E1'],
    E2: ['evidence E2'],
    E3: ['evidence E3'],
    E4: ['evidence E4'],
    'more than F': ['more adversaries than tolerated', 'certificates that exclude each other'],
    links: ['blocked by a partition', 'duplicated', 'lost', 'queued for bandwidth', 'one-way partition', 'heal'],
    faults: CORE_FAULT_NAMES.map((name) => `fault ${name}`),
    adversaries: CORE_ADVERSARY_NAMES.map((name) => `adversary ${name}`),
  },
  draw: (seed, options) => formatSchedule(drawSchedule(seed, options as ScheduleOptions)),
  run: runCore,
};

/** One schedule, as `Mode.run` says. */
export async function runCore(text: string, traceLines: number): Promise<Outcome> {
  const schedule = parseSchedule(text);
  const { failure, counts, logHash, steps, finalHeight, acts } = runSchedule(schedule, traceLines);
  return {
    logHash,
    counts,
    steps,
    finalHeight,
    failure,
    *simpler() {
      for (const simpler of simplerSchedules(schedule, acts)) yield formatSchedule(simpler);
    },
  };
}
