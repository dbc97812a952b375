/** The deep simulator: whole sequencers and the rollups that follow them, in virtual time. Tens of schedules a second. */

import {
  ADVERSARY_NAMES,
  type AdversaryName,
  drawSchedule,
  FAULT_NAMES,
  type FaultName,
  ForkConvicted,
  formatSchedule,
  InvariantViolation,
  parseSchedule,
  type ScheduleOptions,
  simplerSchedules,
} from '@squad/consensus/sim';
import type { Failure, Mode, Outcome } from './mode.ts';
import { NodeWorld } from './node/world.ts';

/** Without those that only a model of batches can play, and those that a real node has always. */
export const NODE_ADVERSARIES: readonly AdversaryName[] = ADVERSARY_NAMES.filter(
  (name) => name !== 'lane-equivocator' && name !== 'liar',
);
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
  adversaries: NODE_ADVERSARIES,
  rules: {
    R1: ['accepted', 'batch'],
    R3: ['acknowledgements'],
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
    R23: ['bounds looked at'],
    'section 6': ['a block derived', 'everything accepted is in the sequence'],
    E1: ['evidence E1'],
    E3: ['evidence E3'],
    links: ['blocked by a partition', 'duplicated', 'lost', 'queued for bandwidth', 'one-way partition', 'heal'],
    faults: NODE_FAULTS.map((name) => `fault ${name}`),
    adversaries: NODE_ADVERSARIES.map((name) => `adversary ${name}`),
  },
  draw: (seed, options) => {
    const chosen = { faults: NODE_FAULTS, adversaries: NODE_ADVERSARIES, ...options } as ScheduleOptions;
    return formatSchedule(drawSchedule(seed, chosen));
  },
  run: runNode,
};

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
