/** What a measurement amounts to: rates and latencies in the measured window. */

import { Histogram } from '../load/histogram.ts';
import type { LoadResult } from '../load/protocol.ts';
import { REACHED_BIN_US } from '../load/recorder.ts';
import { cpuSecondsBetween } from '../measure/sampler.ts';
import type { Measured } from './measurement.ts';

export interface LatencySummary {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

export interface ProcessSummary {
  readonly name: string;
  readonly role: string;
  readonly cpuSeconds: number;
  readonly residentBytesMax: number;
}

export interface Summary {
  readonly offeredTps: number;
  readonly acceptedTps: number;
  readonly finalizedTps: number;
  readonly rejected: number;
  readonly unanswered: number;
  readonly lost: number;
  readonly latencyMs: Readonly<Record<'accepted' | 'soft' | 'final', LatencySummary | null>>;
  readonly processes: readonly ProcessSummary[];
}

export function summarize({ startUs, fromUs, toUs, loads, processes }: Measured): Summary {
  const seconds = (toUs - fromUs) / 1e6;
  const from = (fromUs - startUs) / 1e6;
  const to = (toUs - startUs) / 1e6;
  const sum = (of: (load: LoadResult) => number) => loads.reduce((total, load) => total + of(load), 0);
  const reached = (stage: 'accepted' | 'final') =>
    sum((load) => sumOf(load.reached[stage].slice((from * 1e6) / REACHED_BIN_US, (to * 1e6) / REACHED_BIN_US)));
  const inWindow = (load: LoadResult) => load.seconds.filter(({ second }) => second >= from && second < to);
  const latency = (stage: 'accepted' | 'soft' | 'final') => {
    const all = new Histogram();
    for (const load of loads) for (const second of inWindow(load)) all.merge(Histogram.fromSparse(second[stage]));
    return latencyOf(all);
  };
  return {
    offeredTps: sum((load) => sumOf(inWindow(load).map(({ offered }) => offered))) / seconds,
    acceptedTps: reached('accepted') / seconds,
    finalizedTps: reached('final') / seconds,
    rejected: sum(({ rejected }) => rejected),
    unanswered: sum(({ unanswered }) => unanswered),
    lost: sum(({ accepted, final }) => accepted - final),
    latencyMs: { accepted: latency('accepted'), soft: latency('soft'), final: latency('final') },
    processes: processes.map(({ name, role, samples }) => ({
      name,
      role,
      cpuSeconds: cpuSecondsBetween(samples, fromUs, toUs),
      residentBytesMax: Math.max(0, ...samples.map(({ residentBytes }) => residentBytes)),
    })),
  };
}

function sumOf(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function latencyOf(histogram: Histogram): LatencySummary | null {
  const at = (share: number) => {
    const us = histogram.percentileUs(share);
    return us === undefined ? 0 : us / 1000;
  };
  if (histogram.total === 0) return null;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: histogram.maxUs / 1000 };
}
