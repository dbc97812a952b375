/**
 * What `packages/simulator` builds on: the fast simulator of the core alone, and the parts that the deep one shares with it. `packages/bench`
 * takes some of them, too.
 */

export type { Adversary, AdversaryContext } from './adversaries/adversary.ts';
export { ADVERSARIES, ADVERSARY_NAMES, type AdversaryName, CORE_ADVERSARY_NAMES } from './adversaries/index.ts';
export { BatchStore } from './batches.ts';
export {
  EpochPlan,
  type EpochSchedule,
  followerIndex,
  identityOfFollower,
  isFit,
  type PlannedEpoch,
  type SetDispute,
} from './epoch-plan.ts';
export { type DiskCallKind, FaultInjector, type FaultyNode, type FaultyWorld } from './faults.ts';
export { FinalLedger } from './invariants/epochs.ts';
export {
  ForkConvicted,
  type InvariantContext,
  Invariants,
  InvariantViolation,
  type ObservedNode,
} from './invariants/index.ts';
export { EYES, type L1Schedule } from './l1.ts';
export { encodingOf, hexOf, rememberRoots } from './memo.ts';
export { type CountedScheme, forgedSignature, SignatureRegistry } from './mock-scheme.ts';
export { type LinkFaults, SimulatedNetwork } from './network.ts';
export { Heard } from './observations.ts';
export { Random } from './prng.ts';
export { EventQueue } from './queue.ts';
export { FinalChain } from './recovery.ts';
export { type Failure, type RunResult, runSchedule, runSeed } from './run.ts';
export {
  CORE_FAULT_NAMES,
  drawSchedule,
  FAULT_NAMES,
  type FaultName,
  formatSchedule,
  isOverloaded,
  parseSchedule,
  randomOf,
  type Schedule,
  type ScheduleOptions,
} from './schedule.ts';
export { simplerSchedules } from './simpler.ts';
export { describe, numbersOf, Trace } from './trace.ts';
