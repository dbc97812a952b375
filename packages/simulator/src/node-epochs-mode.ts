/** The deep simulator with short epochs (R22): whole sequencers go from set to set, join, leave, and start again anywhere. */

import { drawSchedule, formatSchedule, isFit, Random, type Schedule, type ScheduleOptions } from '@squad/consensus/sim';
import type { Mode } from './mode.ts';
import { NODE_ADVERSARIES, NODE_FAULTS, runNode } from './node-mode.ts';

/** As short as a genesis file allows: an epoch's end is what these schedules are for. */
const EPOCH_LENGTHS_BLOCKS = [16, 16, 16, 24, 40];
const WHOLLY_NEW_CHANCE = 0.25;
const LEAST_VALIDATORS = 3;

export const nodeEpochsMode: Mode = {
  name: 'node-epochs',
  faults: NODE_FAULTS,
  adversaries: NODE_ADVERSARIES,
  rules: {
    R1: ['accepted', 'batch'],
    R20: ['crash', 'restart', 'crash between sync and send', 'a sync fails'],
    R22: [
      'an epoch begins',
      'a boundary block',
      'an epilogue block',
      'an epoch ended directly',
      'an epoch ended by its epilogue',
      'a node becomes a validator',
      'a validator is one no more',
      'an answer to who is behind',
      'gossip',
    ],
    'section 6': ['a block derived', 'everything accepted is in the sequence'],
    faults: NODE_FAULTS.map((name) => `fault ${name}`),
    adversaries: NODE_ADVERSARIES.map((name) => `adversary ${name}`),
  },
  draw: (seed, options) => formatSchedule(draw(seed, options as ScheduleOptions)),
  run: runNode,
};

function draw(seed: number, options: ScheduleOptions): Schedule {
  const random = new Random(`squad-simulation/node-epochs/${seed}`);
  const isWhollyNew = random.fork('wholly-new').chance(WHOLLY_NEW_CHANCE);
  const drawn = drawSchedule(seed, {
    faults: NODE_FAULTS,
    adversaries: NODE_ADVERSARIES,
    nodes: random.fork('nodes').pick(isWhollyNew ? [7, 8] : [4, 5, 5, 6]),
    troubleMs: random.fork('trouble').integer(2_000, 9_000),
    ...options,
    epochs: true,
  });
  const sets = (isWhollyNew && whollyNew(drawn)) || drawn.epochs!.sets;
  return {
    ...drawn,
    // One or two that need nobody pass an epoch faster than those who follow hear of it.
    latencyMs: Math.min(drawn.latencyMs, 80),
    checksRestore: false,
    epochs: { lengthBlocks: random.fork('length').pick(EPOCH_LENGTHS_BLOCKS), sets, hasAbsentee: false },
  };
}

/** Two halves that take turns. */
function whollyNew({ weights, byzantine }: Schedule): (readonly number[])[] | undefined {
  const middle = weights.length >> 1;
  const halves = [
    weights.map((weight, i) => (i < middle ? weight : 0)),
    weights.map((weight, i) => (i < middle ? 0 : weight)),
  ];
  const isRight = (set: readonly number[]) =>
    set.filter(Boolean).length >= LEAST_VALIDATORS && isFit(set, new Set(byzantine.keys()));
  return halves.every(isRight) ? halves : undefined;
}
