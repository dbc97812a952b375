/** What a seed stands for: who validates, which faults there are and when, who is Byzantine and how. */

import { faultyWeight } from '@squad/types';
import { ADVERSARY_NAMES, type AdversaryName } from './adversaries/index.ts';
import { Random } from './prng.ts';

/** Kinds of trouble, each switched on or off as a whole in one schedule. */
export const FAULT_NAMES = [
  'loss',
  'duplicate',
  'jitter',
  'partition',
  'asymmetric',
  'slow-node',
  'slow-disk',
  'crash',
  'crash-all',
  'skew',
  'codec',
  'checkpoint',
  'byzantine',
] as const;
export type FaultName = (typeof FAULT_NAMES)[number];

/** How often each number of validators is drawn: work grows with its square. */
const SET_SIZES: readonly number[] = [
  [1, 1],
  [4, 20],
  [5, 8],
  [7, 2],
  [10, 1],
].flatMap(([size, times]) => Array.from({ length: times! }, () => size!));

export interface ScheduleOptions {
  /** Number of validators; drawn if undefined. */
  readonly nodes?: number;
  /** Faults that may be drawn; all if undefined. */
  readonly faults?: readonly FaultName[];
  /** Adversaries that may be drawn; all if undefined. */
  readonly adversaries?: readonly AdversaryName[];
  /** Virtual time of trouble before the freeze; drawn if undefined. */
  readonly troubleMs?: number;
}

export interface Schedule {
  readonly seed: number;
  readonly random: Random;
  readonly weights: readonly number[];
  readonly faults: ReadonlySet<FaultName>;
  readonly byzantine: ReadonlyMap<number, AdversaryName>;
  readonly troubleMs: number;
  /** Mean one-way delay of a link. */
  readonly latencyMs: number;
  /** Mean time between two batches of one node. */
  readonly batchIntervalMs: number;
}

export function drawSchedule(seed: number, options: ScheduleOptions = {}): Schedule {
  const random = new Random(`squad-simulation/${seed}`);
  const shape = random.fork('shape');
  const size = options.nodes ?? shape.pick(SET_SIZES);
  const mixed = shape.chance(0.25);
  const weights = Array.from({ length: size }, () => (mixed ? shape.integer(1, 4) : 1));
  const allowed = new Set<FaultName>(options.faults ?? FAULT_NAMES);
  const faults = new Set(FAULT_NAMES.filter((name) => shape.chance(0.4) && allowed.has(name)));
  const byzantine = faults.has('byzantine')
    ? drawByzantine(random.fork('byzantine'), weights, options.adversaries ?? ADVERSARY_NAMES)
    : new Map<number, AdversaryName>();
  return {
    seed,
    random,
    weights,
    faults,
    byzantine,
    troubleMs: options.troubleMs ?? shape.integer(400, shape.chance(0.15) ? 5_000 : 1_500),
    latencyMs: shape.pick([10, 40, 80, 150]),
    batchIntervalMs: shape.pick([300, 800, 2_000]),
  };
}

/** As many as the tolerated weight allows, of one kind or of several. */
function drawByzantine(
  random: Random,
  weights: readonly number[],
  allowed: readonly AdversaryName[],
): Map<number, AdversaryName> {
  let budget = faultyWeight(weights.reduce((sum, weight) => sum + weight, 0));
  const oneKind = random.chance(0.5) ? random.pick(allowed) : undefined;
  const byzantine = new Map<number, AdversaryName>();
  for (const index of random.shuffle(weights.map((_, i) => i))) {
    if (weights[index]! > budget) continue;
    budget -= weights[index]!;
    byzantine.set(index, oneKind ?? random.pick(allowed));
  }
  return byzantine;
}
