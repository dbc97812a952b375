/** The plots of a report. */

import type { BenchReport, Entry } from './schema.ts';
import { lineChart, type Series, stackedBars } from './svg.ts';

export interface Plot {
  readonly id: string;
  readonly svg: string;
}

export function plotsOf(report: BenchReport): Plot[] {
  const all = [report as Entry, ...Object.values(report.baselines)];
  const warmUpEnd = { x: warmUpSeconds(report), text: 'measured from here' };
  return [
    ...sweepPlots(report),
    {
      id: 'latency-over-time',
      svg: lineChart({
        title: 'Final latency over time',
        x: 'seconds since the load began, by due time',
        y: 'ms',
        logY: true,
        marks: [warmUpEnd],
        series: all.flatMap((entry): Series[] => [
          { name: `p50 ${entry.system}`, points: overTime(entry, 'finalP50Ms') },
          { name: `p99 ${entry.system}`, points: overTime(entry, 'finalP99Ms') },
        ]),
      }),
    },
    {
      id: 'throughput-over-time',
      svg: lineChart({
        title: 'Finalized transactions over time',
        x: 'seconds since the load began',
        y: 'tx/s',
        marks: [warmUpEnd],
        series: all.map((entry) => ({ name: entry.system, points: overTime(entry, 'finalizedTps') })),
      }),
    },
    {
      id: 'cpu',
      svg: lineChart({
        title: `CPU by process, ${report.title}`,
        x: 'seconds since the load began',
        y: 'cores',
        series: report.processes.map(({ name, samples }) => ({
          name,
          points: samples.map(([x, cores]) => [x, cores]),
        })),
      }),
    },
    {
      id: 'memory',
      svg: lineChart({
        title: `Resident memory by process, ${report.title}`,
        x: 'seconds since the load began',
        y: 'MB',
        series: report.processes.map(({ name, samples }) => ({
          name,
          points: samples.map(([x, , bytes]) => [x, bytes / 1e6]),
        })),
      }),
    },
    {
      id: 'cpu-per-transaction',
      svg: stackedBars(
        { title: 'CPU for a transaction, by process', x: 'µs', y: '' },
        all.map(({ title, processes }) => ({
          name: title,
          parts: processes.map(({ role, cpuSecondsPer1000 }) => ({ name: role, value: cpuSecondsPer1000 * 1000 })),
        })),
      ),
    },
    {
      id: 'stations',
      svg: stackedBars(
        { title: 'Where a transaction’s time goes, means', x: 'ms', y: '' },
        [...all, ...(report.sweep[report.system] ?? [])]
          .filter(({ stations }) => stations.length > 0)
          .slice(0, 8)
          .map(({ title, rate, stations }) => ({
            name: rate === null ? title : `${title} at ${Math.round(rate)}/s`,
            parts: stations.map(({ name, meanMs }) => ({ name, value: meanMs })),
          })),
      ),
    },
  ];
}

function sweepPlots(report: BenchReport): Plot[] {
  const systems = Object.entries(report.sweep).filter(([, entries]) => entries.length > 0);
  if (systems.length === 0) return [];
  const marks = report.kneeTps === null ? [] : [{ x: report.kneeTps, text: 'knee' }];
  const curve = (entries: readonly Entry[], of: 'p50' | 'p99'): [number, number][] =>
    entries.flatMap(({ finalizedTps, latencyMs }): [number, number][] =>
      latencyMs.final === null ? [] : [[finalizedTps, latencyMs.final[of]]],
    );
  return [
    {
      id: 'throughput-latency',
      svg: lineChart({
        title: 'Throughput against final latency',
        x: 'finalized tx/s',
        y: 'ms',
        logY: true,
        marks,
        series: systems.flatMap(([id, entries]): Series[] => [
          { name: `p50 ${id}`, points: curve(entries, 'p50') },
          { name: `p99 ${id}`, points: curve(entries, 'p99') },
        ]),
      }),
    },
  ];
}

function overTime({ overTime: seconds }: Entry, of: 'finalP50Ms' | 'finalP99Ms' | 'finalizedTps'): [number, number][] {
  return seconds.flatMap((point): [number, number][] => {
    const value = point[of];
    return value === null ? [] : [[point.second + 0.5, value]];
  });
}

function warmUpSeconds({ options }: BenchReport): number {
  return typeof options.warmup === 'number' ? options.warmup : 0;
}
