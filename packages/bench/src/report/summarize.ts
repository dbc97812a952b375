/** From what was measured to the fields of a result. Pure. */

import { Histogram, type SparseHistogram } from '../load/histogram.ts';
import type { LoadResult, SecondResult, StationSums } from '../load/protocol.ts';
import { REACHED_BIN_US } from '../load/recorder.ts';
import { cpuSecondsBetween, type SampledProcess } from '../measure/sampler.ts';
import type { Fault, Measured } from '../run/measurement.ts';
import type { Latency, ProcessResult, RunResult, SecondPoint, Station } from './schema.ts';

/** Roles of processes that measure. The delay proxy stands for a network: it is nobody's. */
const MEASURING: ReadonlySet<string> = new Set(['load', 'bench']);
const NOT_THE_SYSTEM: ReadonlySet<string> = new Set([...MEASURING, 'proxy']);
const BINS_PER_SECOND = 1e6 / REACHED_BIN_US;

export function summarize(measured: Measured, transactionBytes: number): RunResult {
  const { plan, startUs, fromUs, toUs, loads, verification } = measured;
  const measuredSeconds = (toUs - fromUs) / 1e6;
  const window = { from: (fromUs - startUs) / 1e6, to: (toUs - startUs) / 1e6 };
  const sum = (of: (load: LoadResult) => number) => loads.reduce((total, load) => total + of(load), 0);
  const seconds = loads.flatMap((load) => load.seconds.filter(({ second }) => within(second, window)));
  const finalBins = binsOf(loads, 'final', window);
  const finalizedTps = sumOf(finalBins) / measuredSeconds;
  const processes = measured.processes.map((one) => processResult(one, measured, finalizedTps * measuredSeconds));
  const cpuOf = (counts: (role: string) => boolean) =>
    sumOf(processes.filter(({ role }) => counts(role)).map(({ cpuSecondsPer1000 }) => cpuSecondsPer1000));
  const unseen = sum(({ accepted, final }) => accepted - final);
  return {
    system: plan.system.id,
    title: plan.system.title,
    nodes: plan.system.nodes,
    rate: plan.rate ?? null,
    transactionsPerRequest: measured.transactionsPerRequest,
    faults: faultText(plan.fault),
    measuredSeconds,
    offeredTps: sumOf(seconds.map(({ offered }) => offered)) / measuredSeconds,
    acceptedTps: sumOf(binsOf(loads, 'accepted', window)) / measuredSeconds,
    finalizedTps,
    finalizedMBps: (finalizedTps * transactionBytes) / 1e6,
    rejected: sum(({ rejected }) => rejected),
    rejectedByCode: countsByCode(loads),
    unanswered: sum(({ unanswered }) => unanswered),
    // What no client was told of, and what is missing from the sequence: the worse of the two.
    lost: Math.max(unseen, verification.lost),
    duplicated: Math.max(
      verification.duplicated,
      sum(({ finalTwice }) => finalTwice),
    ),
    latencyMs: {
      accepted: latencyOf(seconds.map(({ accepted }) => accepted)),
      soft: latencyOf(seconds.map(({ soft }) => soft)),
      final: latencyOf(seconds.map(({ final }) => final)),
    },
    longestGapMs: (longestGap(finalBins) * REACHED_BIN_US) / 1000,
    stations: stationsOf(seconds.map(({ stations }) => stations)),
    cpuSecondsPer1000: cpuOf((role) => !NOT_THE_SYSTEM.has(role)),
    loadCpuSecondsPer1000: cpuOf((role) => MEASURING.has(role)),
    wireBytesPerTx:
      measured.wireBytes === undefined || finalizedTps === 0
        ? null
        : measured.wireBytes / (finalizedTps * measuredSeconds),
    blocksPerSecond: verification.blocksSeconds > 0 ? verification.blocks / verification.blocksSeconds : null,
    blocks: verification.blocks,
    processes,
    overTime: overTime(loads),
    checked: verification.checked,
    profilePath: measured.profilePath ?? null,
  };
}

export function faultText(fault: Fault): string {
  return fault.kind === 'none' ? 'none' : `${fault.kind}:${fault.count}`;
}

interface Window {
  readonly from: number;
  readonly to: number;
}

/** A second belongs to the window if it lies in it whole. */
function within(second: number, { from, to }: Window): boolean {
  return second >= from && second + 1 <= to + 1e-9;
}

function binsOf(loads: readonly LoadResult[], stage: 'accepted' | 'final', { from, to }: Window): number[] {
  const first = Math.round(from * BINS_PER_SECOND);
  const bins: number[] = new Array(Math.round(to * BINS_PER_SECOND) - first).fill(0);
  for (const { reached } of loads) {
    for (let bin = 0; bin < bins.length; bin++) bins[bin]! += reached[stage][first + bin] ?? 0;
  }
  return bins;
}

function longestGap(bins: readonly number[]): number {
  let longest = 0;
  let gap = 0;
  for (const count of bins) {
    gap = count === 0 ? gap + 1 : 0;
    longest = Math.max(longest, gap);
  }
  return longest;
}

function merged(histograms: readonly SparseHistogram[]): Histogram {
  const all = new Histogram();
  for (const histogram of histograms) all.merge(Histogram.fromSparse(histogram));
  return all;
}

export function latencyOf(histograms: readonly SparseHistogram[]): Latency | null {
  const all = merged(histograms);
  if (all.total === 0) return null;
  const at = (share: number) => all.percentileUs(share)! / 1000;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: all.maxUs / 1000 };
}

function stationsOf(sums: readonly StationSums[]): Station[] {
  const total = (name: keyof StationSums) => sumOf(sums.map((one) => one[name]));
  const mean = (us: keyof StationSums, count: 'accepted' | 'soft' | 'final') =>
    total(count) === 0 ? undefined : total(us) / total(count) / 1000;
  const notarize = mean('notarizeUs', 'soft');
  const final = mean('finalUs', 'final');
  const stations: [string, number | undefined][] = [
    ['due → sent (client)', mean('queueUs', 'accepted')],
    ['sent → accepted (RPC, admission, lane, disk)', mean('acceptUs', 'accepted')],
    ['accepted → in a block', mean('orderUs', 'soft')],
    ['in a block → soft', notarize],
    ['soft → final', final === undefined || notarize === undefined ? undefined : Math.max(0, final - notarize)],
  ];
  return stations.flatMap(([name, meanMs]) => (meanMs === undefined ? [] : [{ name, meanMs }]));
}

function countsByCode(loads: readonly LoadResult[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { rejectedByCode } of loads) {
    for (const [code, count] of Object.entries(rejectedByCode)) counts[code] = (counts[code] ?? 0) + count;
  }
  return counts;
}

function processResult(
  { name, role, samples }: SampledProcess,
  { startUs, fromUs, toUs }: Measured,
  final: number,
): ProcessResult {
  const cpuSeconds = cpuSecondsBetween(samples, fromUs, toUs);
  return {
    name,
    role,
    cpuSeconds,
    cpuSecondsPer1000: final === 0 ? 0 : (cpuSeconds * 1000) / final,
    residentBytesMax: Math.max(0, ...samples.map(({ residentBytes }) => residentBytes)),
    samples: samples.slice(1).flatMap((sample, i): [number, number, number][] => {
      const before = samples[i]!;
      const seconds = (sample.atUs - before.atUs) / 1e6;
      // The looks at both ends of the window may fall beside one of the pace: /proc counts in hundredths.
      if (seconds < 0.1) return [];
      return [[(sample.atUs - startUs) / 1e6, (sample.cpuSeconds - before.cpuSeconds) / seconds, sample.residentBytes]];
    }),
  };
}

function overTime(loads: readonly LoadResult[]): SecondPoint[] {
  const count = Math.max(0, ...loads.map(({ seconds }) => seconds.length));
  return Array.from({ length: count }, (_, second) => {
    const parts = loads.flatMap((load): SecondResult[] => load.seconds.slice(second, second + 1));
    const final = latencyOf(parts.map((part) => part.final));
    return {
      second,
      offeredTps: sumOf(parts.map(({ offered }) => offered)),
      finalizedTps: sumOf(binsOf(loads, 'final', { from: second, to: second + 1 })),
      finalP50Ms: final?.p50 ?? null,
      finalP99Ms: final?.p99 ?? null,
    };
  });
}

function sumOf(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
