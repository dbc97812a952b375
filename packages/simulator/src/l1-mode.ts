/**
 * The fast simulator with an L1 that the network follows (R24), of which validators see different things; a third of the
 * schedules have short epochs, too.
 */

import {
  ADVERSARY_NAMES,
  CORE_FAULT_NAMES,
  drawSchedule,
  EYES,
  formatSchedule,
  type ScheduleOptions,
} from '@squad/consensus/sim';
import { runCore } from './core-mode.ts';
import type { Mode } from './mode.ts';

export const l1Mode: Mode = {
  name: 'l1',
  faults: CORE_FAULT_NAMES,
  adversaries: ADVERSARY_NAMES,
  rules: {
    R24: ['an advance notarized', 'the anchor advanced', 'a view lost with its advance', 'a lie about the L1'],
    eyes: EYES.map((eye) => `eye ${eye}`),
    R22: ['an epoch begins', 'an epilogue block'],
    faults: CORE_FAULT_NAMES.map((name) => `fault ${name}`),
    adversaries: ADVERSARY_NAMES.map((name) => `adversary ${name}`),
  },
  draw: (seed, options) =>
    formatSchedule(drawSchedule(seed, { ...(options as ScheduleOptions), l1: true, epochs: seed % 3 === 0 })),
  run: runCore,
};
