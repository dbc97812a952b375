/** The fast simulator with short epochs (R22): sets change at boundaries, under the same faults and adversaries. */

import {
  CORE_ADVERSARY_NAMES,
  CORE_FAULT_NAMES,
  drawSchedule,
  formatSchedule,
  type ScheduleOptions,
} from '@squad/consensus/sim';
import { runCore } from './core-mode.ts';
import type { Mode } from './mode.ts';

export const epochsMode: Mode = {
  name: 'epochs',
  faults: CORE_FAULT_NAMES,
  adversaries: CORE_ADVERSARY_NAMES,
  rules: {
    R1: ['a batch sealed anew', 'a batch given to a validator'],
    R16: ['restart', 'crash between sync and send', 'a crash after a sync looked at'],
    R20: ['delivered again after a crash', 'checkpoint'],
    R21: ['fetchRange', 'fetchHandOver'],
    'R22 ends': ['a boundary block', 'an epilogue block', 'an epoch ended directly', 'an epoch ended by its epilogue'],
    'R22 next': ['an epoch begins', 'the next set is not known yet'],
    'R22 behind': [
      'handOver',
      'an answer to who is behind',
      'an answer to who is no validator any more',
      'off through three epochs',
      'back after three epochs',
    ],
    E1: ['evidence E1'],
    E2: ['evidence E2'],
    E3: ['evidence E3'],
    E4: ['evidence E4'],
    faults: CORE_FAULT_NAMES.map((name) => `fault ${name}`),
    adversaries: CORE_ADVERSARY_NAMES.map((name) => `adversary ${name}`),
  },
  draw: (seed, options) => formatSchedule(drawSchedule(seed, { ...(options as ScheduleOptions), epochs: true })),
  run: runCore,
};
