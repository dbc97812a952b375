/**
 * What one run is made of: who validates, which faults there are and when, who is Byzantine and how. Drawn from a seed, or
 * written out as one line of text, which is what a failure is reported, shrunk and kept as.
 */

import { faultyWeight, quorumWeight } from '@squad/types';
import { ADVERSARY_NAMES, type AdversaryName, CORE_ADVERSARY_NAMES } from './adversaries/index.ts';
import { drawEpochs, type EpochSchedule, type SetDispute } from './epoch-plan.ts';
import { drawL1, EYES, type L1Schedule } from './l1.ts';
import { Random } from './prng.ts';

/** Kinds of trouble, each switched on or off as a whole in one schedule. */
export const FAULT_NAMES = [
  'loss',
  'duplicate',
  'jitter',
  'wan',
  'bandwidth',
  'partition',
  'asymmetric',
  'slow-node',
  'slow-disk',
  'crash',
  'crash-all',
  'crash-at-sync',
  'disk-failure',
  'disk-call',
  'skew',
  'codec',
  'checkpoint',
  'byzantine',
] as const;
export type FaultName = (typeof FAULT_NAMES)[number];
/** Those that the model of a disk around the core alone knows: all but single calls of a store. */
export const CORE_FAULT_NAMES: readonly FaultName[] = FAULT_NAMES.filter((name) => name !== 'disk-call');

/** How often each number of validators is drawn: work grows with its square. */
const SET_SIZES: readonly number[] = [
  [1, 1],
  [4, 20],
  [5, 8],
  [6, 1],
  [7, 2],
  [10, 1],
].flatMap(([size, times]) => Array.from({ length: times! }, () => size!));
const FAULT_CHANCE = 0.35;
/** Those that cost much and need not be there often, and the one that is most of what is looked for. */
const FAULT_CHANCES: Partial<Record<FaultName, number>> = { codec: 0.1, crash: 0.3, 'crash-all': 0.2, byzantine: 0.6 };
const ADVERSARY_CHANCE = 0.3;
const SETTLE_CHANCE = 0.25;
/** Of the schedules that settle, how many do so on the connections that there are: only what is sent again helps then. */
const UNBROKEN_CHANCE = 0.5;
/** Of the schedules with adversaries, how many have more of them than the protocol tolerates. */
const OVERLOAD_CHANCE = 0.12;
/** How often the state after a crash is looked at after every single sync. It costs more than all the rest. */
const RESTORE_CHANCE = 0.005;

/** Epochs are for what happens at their ends: more of these schedules have to come through, and are looked at closely. */
const EPOCHS_SETTLE_CHANCE = 0.5;
const EPOCHS_RESTORE_CHANCE = 0.02;

const FORKING: readonly AdversaryName[] = ['equivocator', 'omni-voter', 'twins'];

export interface ScheduleOptions {
  /** Number of validators; drawn if undefined. */
  readonly nodes?: number;
  /** Faults that may be drawn; all of the core's if undefined. */
  readonly faults?: readonly FaultName[];
  /** Adversaries that may be drawn; all if undefined. */
  readonly adversaries?: readonly AdversaryName[];
  /** Virtual time of trouble; drawn if undefined. */
  readonly troubleMs?: number;
  /** Whether the trouble ends and everything must become final; drawn if undefined. */
  readonly settles?: boolean;
  /** Whether there are more adversaries than the protocol tolerates; drawn if undefined. */
  readonly overload?: boolean;
  /** Whether the network follows an L1; never if left out. */
  readonly l1?: boolean;
  /** Whether the set changes at the end of short epochs; never if left out. */
  readonly epochs?: boolean;
}

export interface Schedule {
  readonly seed: number;
  readonly weights: readonly number[];
  readonly faults: ReadonlySet<FaultName>;
  readonly byzantine: ReadonlyMap<number, AdversaryName>;
  readonly troubleMs: number;
  /** Mean one-way delay of a link. */
  readonly latencyMs: number;
  /** Mean time between two batches of one node. */
  readonly batchIntervalMs: number;
  /** Whether the faults end after the trouble, and everything must become final: the schedules that test liveness. */
  readonly settles: boolean;
  /** Whether everybody is connected anew when the faults end, which makes everybody say again what the others lack. */
  readonly reconnects: boolean;
  /** Whether what a crash would leave is checked after every sync. */
  readonly checksRestore: boolean;
  /** Undefined: the network follows none (R24). */
  readonly l1?: L1Schedule | undefined;
  /** Undefined: one set for ever. */
  readonly epochs?: EpochSchedule | undefined;
  /** Single acts of the faults that do not happen, such as `crash#2`: the schedule was shrunk. */
  readonly without: ReadonlySet<string>;
}

export function randomOf({ seed }: Pick<Schedule, 'seed'>): Random {
  return new Random(`squad-simulation/${seed}`);
}

export function drawSchedule(seed: number, options: ScheduleOptions = {}): Schedule {
  const random = randomOf({ seed });
  const shape = random.fork('shape');
  const size = options.nodes ?? (options.epochs ? Math.max(4, shape.pick(SET_SIZES)) : shape.pick(SET_SIZES));
  const mixed = shape.chance(0.25);
  const weights = Array.from({ length: size }, () => (mixed ? shape.integer(1, 4) : 1));
  const allowed = new Set<FaultName>(options.faults ?? CORE_FAULT_NAMES);
  const faults = new Set(
    FAULT_NAMES.filter(
      (name) => random.fork(`fault-${name}`).chance(FAULT_CHANCES[name] ?? FAULT_CHANCE) && allowed.has(name),
    ),
  );
  const forced = options.overload === true;
  if (forced) faults.add('byzantine');
  const overload = (options.overload ?? random.fork('overload').chance(OVERLOAD_CHANCE)) && !options.epochs;
  const byzantine = faults.has('byzantine')
    ? drawByzantine(
        random.fork('byzantine'),
        weights,
        options.adversaries ?? (options.l1 ? ADVERSARY_NAMES : CORE_ADVERSARY_NAMES),
        overload,
      )
    : new Map<number, AdversaryName>();
  const settles = options.settles ?? random.fork('settles').chance(SETTLE_CHANCE);
  return {
    seed,
    weights,
    faults,
    byzantine,
    troubleMs: options.troubleMs ?? shape.integer(400, shape.chance(0.15) ? 5_000 : 1_500),
    latencyMs: shape.pick([10, 40, 80, 150]),
    batchIntervalMs: shape.pick([300, 800, 2_000]),
    settles: settles && !isOverloaded(weights, byzantine),
    reconnects: !random.fork('reconnects').chance(UNBROKEN_CHANCE),
    checksRestore: random.fork('restore').chance(RESTORE_CHANCE),
    without: new Set(),
    ...(options.l1 && {
      l1: drawL1(random.fork('l1-eyes'), size),
      troubleMs: options.troubleMs ?? random.fork('l1-trouble').integer(1_000, 6_000),
    }),
    ...(options.epochs && {
      ...epochsOf(random, options, weights, byzantine),
      troubleMs: options.troubleMs ?? random.fork('epochs-trouble').integer(1_000, 5_000),
      checksRestore: random.fork('restore').chance(EPOCHS_RESTORE_CHANCE),
    }),
  };
}

function epochsOf(
  random: Random,
  options: ScheduleOptions,
  weights: readonly number[],
  byzantine: ReadonlyMap<number, unknown>,
): Pick<Schedule, 'settles' | 'epochs'> {
  const settles = options.settles ?? random.fork('epochs-settles').chance(EPOCHS_SETTLE_CHANCE);
  const least = settles ? 3 : 1;
  return { settles, epochs: drawEpochs(random.fork('epochs'), weights, new Set(byzantine.keys()), least) };
}

/** As many as the tolerated weight allows, of one kind or of several; with `overload` more than that, less than a quorum. */
function drawByzantine(
  random: Random,
  weights: readonly number[],
  allowed: readonly AdversaryName[],
  overload: boolean,
): Map<number, AdversaryName> {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let budget = overload ? quorumWeight(total) - 1 : faultyWeight(total);
  const enabled = allowed.filter((name) => random.fork(`adversary-${name}`).chance(ADVERSARY_CHANCE));
  // With more than is tolerated those are of interest that can fork the chain.
  const forking = allowed.filter((name) => FORKING.includes(name));
  const drawn = overload && random.fork('forking').chance(0.7) ? forking : enabled;
  const kinds = drawn.length > 0 ? drawn : [random.pick(allowed)];
  const byzantine = new Map<number, AdversaryName>();
  for (const index of random.shuffle(weights.map((_, i) => i))) {
    if (weights[index]! > budget) continue;
    budget -= weights[index]!;
    byzantine.set(index, random.pick(kinds));
  }
  return byzantine;
}

/** Whether more weight is Byzantine than the protocol tolerates. */
export function isOverloaded(weights: readonly number[], byzantine: ReadonlyMap<number, unknown>): boolean {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const evil = [...byzantine.keys()].reduce((sum, index) => sum + weights[index]!, 0);
  return evil > faultyWeight(total);
}

// ---------------------------------------------------------------- as text

/** One line that holds all of a schedule: `parseSchedule` gives it back. */
export function formatSchedule(schedule: Schedule): string {
  const { seed, weights, faults, byzantine, without } = schedule;
  const parts = [
    `seed=${seed}`,
    `weights=${weights.join(',')}`,
    `faults=${[...faults].join(',')}`,
    `byzantine=${[...byzantine].map(([index, name]) => `${index}:${name}`).join(',')}`,
    `trouble=${schedule.troubleMs}`,
    `latency=${schedule.latencyMs}`,
    `batches=${schedule.batchIntervalMs}`,
    `settles=${schedule.settles ? 1 : 0}`,
    `restore=${schedule.checksRestore ? 1 : 0}`,
  ];
  const { epochs } = schedule;
  if (!schedule.reconnects) parts.push('reconnects=0');
  if (epochs) {
    parts.push(`epochs=${epochs.lengthBlocks}`, `sets=${epochs.sets.map((set) => set.join(',')).join('/')}`);
    parts.push(`absentee=${epochs.hasAbsentee ? 1 : 0}`);
    if (epochs.repeatsFrom) parts.push(`again=${epochs.repeatsFrom}`);
    const { dispute } = epochs;
    if (dispute) parts.push(`dispute=${dispute.epoch}:${dispute.identities.join('+')}:${dispute.lastsMs}`);
  }
  if (schedule.l1) parts.push(`l1=${schedule.l1.intervalMs}:${schedule.l1.eyes.join(',')}`);
  if (without.size > 0) parts.push(`without=${[...without].join(',')}`);
  return parts.join(' ');
}

/** Throws a RangeError that names what cannot be read. */
export function parseSchedule(text: string): Schedule {
  const fields = new Map<string, string>();
  for (const part of text.trim().split(/\s+/)) {
    const at = part.indexOf('=');
    if (at < 1) throw new RangeError(`"${part}" is not of the form name=value`);
    fields.set(part.slice(0, at), part.slice(at + 1));
  }
  const number = (name: string, fallback?: number): number => {
    const value = fields.get(name);
    if (value === undefined && fallback !== undefined) return fallback;
    const parsed = Number(value);
    if (value === undefined || value === '' || !Number.isInteger(parsed) || parsed < 0) {
      throw new RangeError(`${name}=${value ?? ''}: expected a whole number`);
    }
    return parsed;
  };
  const list = (name: string): string[] => (fields.get(name) ?? '').split(',').filter((item) => item !== '');
  const known = <T extends string>(what: string, name: string, names: readonly T[]): T => {
    const found = names.find((candidate) => candidate === name);
    if (found === undefined) throw new RangeError(`"${name}" is no ${what}; there are ${names.join(' ')}`);
    return found;
  };
  const weights = list('weights').map(Number);
  if (weights.length === 0 || weights.some((weight) => !Number.isInteger(weight) || weight < 1)) {
    throw new RangeError(`weights=${fields.get('weights') ?? ''}: expected whole numbers above 0`);
  }
  return {
    seed: number('seed'),
    weights,
    faults: new Set(list('faults').map((name) => known('fault', name, FAULT_NAMES))),
    byzantine: new Map(
      list('byzantine').map((item) => {
        const [index, name] = item.split(':');
        if (!(Number(index) < weights.length))
          throw new RangeError(`byzantine=${item}: there is no validator ${index}`);
        return [Number(index), known('adversary', name ?? '', ADVERSARY_NAMES)];
      }),
    ),
    troubleMs: number('trouble'),
    latencyMs: number('latency'),
    batchIntervalMs: number('batches'),
    settles: number('settles', 0) === 1,
    reconnects: number('reconnects', 1) === 1,
    checksRestore: number('restore', 0) === 1,
    without: new Set(list('without')),
    ...(fields.has('l1') && { l1: l1Of(fields.get('l1')!, weights.length) }),
    ...(fields.has('epochs') && {
      epochs: {
        lengthBlocks: number('epochs'),
        sets: setsOf(fields.get('sets') ?? '', weights.length),
        ...againOf(number('again', 0), fields.get('sets') ?? ''),
        hasAbsentee: number('absentee', 0) === 1,
        ...(fields.has('dispute') && { dispute: disputeOf(fields.get('dispute')!, weights.length) }),
      },
    }),
  };
}

function l1Of(text: string, size: number): L1Schedule {
  const [intervalMs, eyes = ''] = text.split(':');
  const named = eyes.split(',').flatMap((name) => EYES.filter((eye) => eye === name));
  const isRight = Number.isInteger(Number(intervalMs)) && Number(intervalMs) > 0;
  if (!isRight || named.length !== size || eyes.split(',').length !== size) {
    throw new RangeError(`l1=${text}: expected milliseconds and ${size} of ${EYES.join(' ')}`);
  }
  return { intervalMs: Number(intervalMs), eyes: named };
}

function againOf(repeatsFrom: number, sets: string): Pick<EpochSchedule, 'repeatsFrom'> {
  if (repeatsFrom >= sets.split('/').length)
    throw new RangeError(`again=${repeatsFrom}: there are no sets from there on`);
  return repeatsFrom > 0 ? { repeatsFrom } : {};
}

function disputeOf(text: string, size: number): SetDispute {
  const [epoch, identities = '', lastsMs] = text.split(':');
  const dispute = { epoch: Number(epoch), identities: identities.split('+').map(Number), lastsMs: Number(lastsMs) };
  const isRight =
    Number.isInteger(dispute.epoch) &&
    dispute.epoch > 0 &&
    Number.isInteger(dispute.lastsMs) &&
    dispute.identities.every((identity) => Number.isInteger(identity) && identity >= 0 && identity < size);
  if (!isRight) throw new RangeError(`dispute=${text}: expected an epoch from 1 on, identities and milliseconds`);
  return dispute;
}

function setsOf(text: string, size: number): number[][] {
  const sets = text.split('/').map((set) => set.split(',').map(Number));
  const isRight = (set: readonly number[]) =>
    set.length === size && set.every((weight) => Number.isInteger(weight) && weight >= 0) && set.some(Boolean);
  if (!sets.every(isRight)) throw new RangeError(`sets=${text}: expected ${size} weights in each set, not all 0`);
  return sets;
}
