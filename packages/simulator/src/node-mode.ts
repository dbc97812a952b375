/** The deep simulator: whole sequencers and the rollups that follow them, in virtual time. Tens of schedules a second. */

import {
  type AdversaryName,
  CORE_ADVERSARY_NAMES,
  drawSchedule,
  FAULT_NAMES,
  type FaultName,
  ForkConvicted,
  formatSchedule,
  InvariantViolation,
  parseSchedule,
  randomOf,
  type Schedule,
  type ScheduleOptions,
  simplerSchedules,
} from '@squad/consensus/sim';
import type { Failure, Mode, Outcome } from './mode.ts';
import { NodeWorld } from './node/world.ts';

/** They came later than the others, and take the place of some by a draw of their own: it shifts no other. */
const LATER_ADVERSARIES: readonly AdversaryName[] = ['lane-equivocator', 'liar'];
const LATER_ADVERSARY_CHANCE = 0.2;
/** Without those that a real node has always. */
export const NODE_FAULTS: readonly FaultName[] = FAULT_NAMES.filter(
  (name) => name !== 'codec' && name !== 'checkpoint',
);

/** What of a disk fails, and what becomes of its node. */
export const DISK_RULES: readonly string[] = [
  'log.append failed',
  'log.sync failed',
  'log.replay failed',
  'index.write failed',
  'index.get failed',
  'index.getMany failed',
  'index.range failed',
  'a node ends itself for its disk',
  'a node says that its disk failed, and goes on',
];

export const nodeMode: Mode = {
  name: 'node',
  faults: NODE_FAULTS,
  adversaries: CORE_ADVERSARY_NAMES,
  rules: {
    R1: ['accepted', 'batch'],
    R3: ['acknowledgements'],
    R5: ['two batches of one place are held', 'evidence E5'],
    R8: ['proposal', 'a block that skips views'],
    R10: ['a young batch ordered'],
    R11: ['NOTARIZE'],
    R12: ['notarization', 'soft', 'bodies of a notarized block held by more than F'],
    R13: ['NULLIFY'],
    R14: ['nullification'],
    R15: ['finalization', 'final'],
    R20: [
      'crash',
      'restart',
      'crash between sync and send',
      'a sync fails',
      'final before a crash, delivered after it',
    ],
    'R20 disk': DISK_RULES,
    R21: ['batches', 'block', 'range'].map((protocol) => `a lie in an answer: ${protocol}`),
    R23: ['bounds looked at'],
    'section 6': ['a block derived', 'everything accepted is in the sequence'],
    E1: ['evidence E1'],
    E3: ['evidence E3'],
    links: ['blocked by a partition', 'duplicated', 'lost', 'queued for bandwidth', 'one-way partition', 'heal'],
    faults: NODE_FAULTS.map((name) => `fault ${name}`),
    adversaries: CORE_ADVERSARY_NAMES.map((name) => `adversary ${name}`),
  },
  draw: (seed, options) => formatSchedule(drawNodes(seed, options as ScheduleOptions)),
  run: runNode,
};

export function drawNodes(seed: number, options: ScheduleOptions): Schedule {
  const adversaries = CORE_ADVERSARY_NAMES.filter((name) => !LATER_ADVERSARIES.includes(name));
  const drawn = drawSchedule(seed, { faults: NODE_FAULTS, adversaries, ...options });
  if (options.adversaries) return drawn;
  const random = randomOf(drawn).fork('later-adversaries');
  const byzantine = [...drawn.byzantine].map(([index, name]): [number, AdversaryName] => [
    index,
    random.chance(LATER_ADVERSARY_CHANCE) ? random.pick(LATER_ADVERSARIES) : name,
  ]);
  return { ...drawn, byzantine: new Map(byzantine) };
}

/** One schedule, as `Mode.run` says. */
export async function runNode(text: string, traceLines: number): Promise<Outcome> {
  const schedule = parseSchedule(text);
  const world = new NodeWorld(schedule, traceLines);
  let failure: Failure | undefined;
  try {
    await world.run();
  } catch (error) {
    if (!(error instanceof ForkConvicted)) {
      const invariant = error instanceof InvariantViolation ? error.invariant : 'never throws';
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      failure = { invariant, message, trace: world.trace.report() };
    }
  }
  return {
    logHash: world.trace.hash,
    counts: world.trace.counts,
    steps: world.steps,
    finalHeight: world.final.chain.length - 1,
    failure,
    *simpler() {
      for (const simpler of simplerSchedules(schedule, world.acts)) yield formatSchedule(simpler);
    },
  };
}
