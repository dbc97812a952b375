/** The result of a bench as JSON. Names and meanings are fixed within a version; docs/benchmarks.md lists them. */

import { z } from 'zod';

export const REPORT_FORMAT = 'squad-bench';
export const REPORT_VERSION = 1;

const Latency = z.object({ p50: z.number(), p95: z.number(), p99: z.number(), max: z.number() });
export type Latency = z.infer<typeof Latency>;

const ProcessResult = z.object({
  name: z.string(),
  /** sequencer, rollup-node, validator, node: of the system. load, bench, proxy: of the measurement. */
  role: z.string(),
  cpuSeconds: z.number(),
  /** CPU seconds for 1,000 finalized transactions. */
  cpuSecondsPer1000: z.number(),
  residentBytesMax: z.number(),
  /** [seconds since the start of the load, cores in use, resident bytes], a sample each. */
  samples: z.array(z.tuple([z.number(), z.number(), z.number()])),
});
export type ProcessResult = z.infer<typeof ProcessResult>;

const Station = z.object({ name: z.string(), meanMs: z.number() });
export type Station = z.infer<typeof Station>;

const SecondPoint = z.object({
  second: z.number(),
  offeredTps: z.number(),
  finalizedTps: z.number(),
  finalP50Ms: z.number().nullable(),
  finalP99Ms: z.number().nullable(),
});
export type SecondPoint = z.infer<typeof SecondPoint>;

/** What every run has, and the spread of each over repetitions. */
export const RunResult = z.object({
  system: z.string(),
  title: z.string(),
  nodes: z.number(),
  /** Transactions a second that the schedule offered; null: closed loop, as many as are taken. */
  rate: z.number().nullable(),
  transactionsPerRequest: z.number(),
  faults: z.string(),
  measuredSeconds: z.number(),
  offeredTps: z.number(),
  acceptedTps: z.number(),
  finalizedTps: z.number(),
  finalizedMBps: z.number(),
  rejected: z.number(),
  rejectedByCode: z.record(z.string(), z.number()),
  unanswered: z.number(),
  lost: z.number(),
  duplicated: z.number(),
  latencyMs: z.object({ accepted: Latency.nullable(), soft: Latency.nullable(), final: Latency.nullable() }),
  /** Longest time without a transaction becoming final, to a tenth of a second. */
  longestGapMs: z.number(),
  stations: z.array(Station),
  cpuSecondsPer1000: z.number(),
  loadCpuSecondsPer1000: z.number(),
  wireBytesPerTx: z.number().nullable(),
  blocksPerSecond: z.number().nullable(),
  blocks: z.number(),
  processes: z.array(ProcessResult),
  overTime: z.array(SecondPoint),
  checked: z.string(),
  profilePath: z.string().nullable(),
});
export type RunResult = z.infer<typeof RunResult>;

const Spread = z.object({ min: z.number(), median: z.number(), max: z.number() });
export type Spread = z.infer<typeof Spread>;

/** All repetitions of one plan; the fields of a run are those of the repetition with the median throughput. */
export const Entry = RunResult.extend({
  repetitions: z.number(),
  spread: z.object({ finalizedTps: Spread, finalP50Ms: Spread.nullable(), finalP99Ms: Spread.nullable() }),
});
export type Entry = z.infer<typeof Entry>;

/** Of SQUAD to the baseline: above 1, SQUAD has more of it. */
export const Ratios = z.object({
  finalizedTps: z.number(),
  finalP50: z.number().nullable(),
  finalP99: z.number().nullable(),
  cpuSecondsPer1000: z.number(),
});

export const Baseline = Entry.extend({
  /** Finalized throughput of SQUAD divided by the baseline's. */
  ratio: z.number(),
  ratios: Ratios,
});
export type Baseline = z.infer<typeof Baseline>;

export const BenchReport = Entry.extend({
  format: z.literal(REPORT_FORMAT),
  version: z.literal(REPORT_VERSION),
  startedAt: z.string(),
  commit: z.string().nullable(),
  machine: z.object({
    cpu: z.string(),
    cores: z.number(),
    memoryBytes: z.number(),
    platform: z.string(),
    kernel: z.string(),
  }),
  versions: z.record(z.string(), z.string()),
  seed: z.number(),
  workload: z.string(),
  txSize: z.number(),
  latency: z.string(),
  options: z.record(z.string(), z.unknown()),
  baselines: z.record(z.string(), Baseline),
  /** With --rate sweep: every step of every system, rates ascending. */
  sweep: z.record(z.string(), z.array(Entry)),
  /** The highest step of SQUAD's sweep that was borne: it finalized 98 % of what was offered. Null without a sweep. */
  kneeTps: z.number().nullable(),
  notes: z.array(z.string()),
});
export type BenchReport = z.infer<typeof BenchReport>;
