/** The deep simulator with short epochs (R22): whole sequencers go from set to set, join, leave, and start again anywhere. */

import {
  CORE_ADVERSARY_NAMES,
  EpochPlan,
  type EpochSchedule,
  formatSchedule,
  isFit,
  Random,
  type Schedule,
  type ScheduleOptions,
  type SetDispute,
} from '@squad/consensus/sim';
import { quorumWeight } from '@squad/types';
import type { Mode } from './mode.ts';
import { DISK_RULES, drawNodes, NODE_FAULTS, runNode } from './node-mode.ts';

/** As short as a genesis file allows: an epoch's end is what these schedules are for. */
const EPOCH_LENGTHS_BLOCKS = [16, 16, 16, 24, 40];
const WHOLLY_NEW_CHANCE = 0.25;
const STAYS_NEW_CHANCE = 0.5;
const LEAST_VALIDATORS = 3;
const ABSENTEE_CHANCE = 0.3;
/** Of those that are off for long, how many validate never again. */
const LEAVER_CHANCE = 0.5;
const DISPUTE_CHANCE = 0.3;
/** Of the disputes, how many leave no quorum on either side, where there is one. */
const SPLIT_CHANCE = 0.5;

export const nodeEpochsMode: Mode = {
  name: 'node-epochs',
  faults: NODE_FAULTS,
  adversaries: CORE_ADVERSARY_NAMES,
  rules: {
    R1: ['accepted', 'batch'],
    R20: ['crash', 'restart', 'crash between sync and send', 'a sync fails'],
    'R20 disk': DISK_RULES,
    R21: ['batches', 'block', 'range', 'handOver'].map((protocol) => `a lie in an answer: ${protocol}`),
    R23: ['bounds looked at'],
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
    'R22 away': [
      'a validator is off through three epochs',
      'a follower is off through three epochs',
      'back after three epochs',
    ],
    'R22 disputes': [
      'an epoch ends while a few disagree',
      'no epoch ends while no quorum agrees',
      'a boundary block of a disputed set',
    ],
    'section 6': ['a block derived', 'everything accepted is in the sequence'],
    faults: NODE_FAULTS.map((name) => `fault ${name}`),
    adversaries: CORE_ADVERSARY_NAMES.map((name) => `adversary ${name}`),
  },
  draw: (seed, options) => formatSchedule(draw(seed, options as ScheduleOptions)),
  run: runNode,
};

function draw(seed: number, options: ScheduleOptions): Schedule {
  const random = new Random(`squad-simulation/node-epochs/${seed}`);
  const isWhollyNew = random.fork('wholly-new').chance(WHOLLY_NEW_CHANCE);
  const drawn = drawNodes(seed, {
    nodes: random.fork('nodes').pick(isWhollyNew ? [7, 8] : [4, 5, 5, 6]),
    troubleMs: random.fork('trouble').integer(2_000, 9_000),
    ...options,
    epochs: true,
  });
  const hasAbsentee = random.fork('absentee').chance(ABSENTEE_CHANCE);
  const halves = isWhollyNew ? whollyNew(drawn) : undefined;
  // Where the first half does not come back, what only it had has to be asked for while it validates no more.
  const staysNew = halves && random.fork('stays-new').chance(STAYS_NEW_CHANCE);
  const usual = { sets: halves ?? drawn.epochs!.sets, ...(staysNew && { repeatsFrom: halves.length - 1 }) };
  const sets = (hasAbsentee && leaver(random.fork('leaver'), drawn, usual.sets)) || usual;
  const isDisputed = random.fork('disputed').chance(DISPUTE_CHANCE);
  const lengths = hasAbsentee || isDisputed ? EPOCH_LENGTHS_BLOCKS.slice(0, 1) : EPOCH_LENGTHS_BLOCKS;
  const epochs: EpochSchedule = {
    lengthBlocks: random.fork('length').pick(lengths),
    ...sets,
    hasAbsentee,
  };
  const dispute = isDisputed ? drawDispute(random.fork('dispute'), drawn, epochs) : undefined;
  return {
    ...drawn,
    // One or two that need nobody pass an epoch faster than those who follow hear of it.
    latencyMs: Math.min(drawn.latencyMs, 80),
    checksRestore: false,
    epochs: { ...epochs, dispute },
  };
}

/** One is in the first set, and in none from then on. */
function leaver(
  random: Random,
  { weights, byzantine }: Schedule,
  [, ...later]: readonly (readonly number[])[],
): Pick<EpochSchedule, 'sets' | 'repeatsFrom'> | undefined {
  if (!random.chance(LEAVER_CHANCE)) return undefined;
  const evil = new Set(byzantine.keys());
  const isRight = (set: readonly number[], absent: readonly number[]) =>
    set.filter(Boolean).length >= LEAST_VALIDATORS && isFit(set, new Set([...evil, ...absent]));
  for (const identity of random.shuffle([...weights.keys()].filter((index) => !evil.has(index)))) {
    const without = (set: readonly number[]) => set.map((weight, i) => (i === identity ? 0 : weight));
    const rest = later.length > 0 ? later.map(without) : [without(weights)];
    if (isRight(weights, [identity]) && rest.every((set) => isRight(set, []))) {
      return { sets: [weights, ...rest], repeatsFrom: 1 };
    }
  }
  return undefined;
}

/** A few whose files name another set, or so many that neither they nor the others are a quorum. */
function drawDispute(random: Random, { weights, byzantine }: Schedule, epochs: EpochSchedule): SetDispute | undefined {
  const plan = new EpochPlan(weights, epochs);
  const epoch = random.pick([1, 1, 2]);
  const wantsSplit = random.chance(SPLIT_CHANCE);
  const lastsMs = random.integer(200, 4_000);
  const evil = new Set(byzantine.keys());
  const honest = [...weights.keys()].filter((identity) => !evil.has(identity));
  const before = plan.at(epoch - 1);
  const quorum = quorumWeight(before.weights.reduce((sum, weight) => sum + weight, 0));
  let found: SetDispute | undefined;
  for (let attempt = 0; attempt < 20; attempt++) {
    const dispute: SetDispute = { epoch, identities: random.subset(honest), lastsMs };
    const isIn = (identity: number) => evil.has(identity) || dispute.identities.includes(identity);
    const weight = before.weights.reduce((sum, each, i) => sum + (isIn(before.members[i]!) ? each : 0), 0);
    // With a quorum the others would be those who are wrong.
    if (dispute.identities.length === 0 || weight >= quorum) continue;
    found = dispute;
    if (plan.isSplit(dispute, evil) === wantsSplit) return dispute;
  }
  return found;
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
