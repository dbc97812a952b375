/** Results as text for a terminal. */

import { plainTable, type ScreenStyle } from '@squad/testnet';
import type { BenchReport, Entry, Latency, RunResult } from './schema.ts';

export function rateText(value: number): string {
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en-US');
}

function latencyText(value: Latency | null, of: keyof Latency): string {
  return value === null ? '–' : value[of].toFixed(1);
}

/** One line about a run that has just ended. */
export function runLine(result: RunResult): string {
  const { title, rate, finalizedTps, latencyMs, lost, rejected } = result;
  const at = rate === null ? 'max' : `${rateText(rate)}/s`;
  const latency =
    latencyMs.final === null
      ? 'nothing final'
      : `final p50 ${latencyMs.final.p50.toFixed(1)} p99 ${latencyMs.final.p99.toFixed(1)} ms`;
  return `${title} at ${at}: ${rateText(finalizedTps)} tx/s, ${latency}, rejected ${rejected}, lost ${lost}`;
}

const HEAD = [
  'system',
  'offered/s',
  'accepted/s',
  'final/s',
  'MB/s',
  'rejected',
  'lost',
  'soft p50',
  'p99',
  'final p50',
  'p95',
  'p99',
  'max ms',
  'CPU s/1000',
  'wire B/tx',
];

export function entryTable(style: ScreenStyle, entries: readonly Entry[]): string {
  return plainTable(
    style,
    HEAD,
    entries.map((entry) => [
      entry.rate === null ? entry.title : `${entry.title} at ${rateText(entry.rate)}/s`,
      rateText(entry.offeredTps),
      rateText(entry.acceptedTps),
      rateText(entry.finalizedTps),
      entry.finalizedMBps.toFixed(1),
      String(entry.rejected),
      String(entry.lost),
      latencyText(entry.latencyMs.soft, 'p50'),
      latencyText(entry.latencyMs.soft, 'p99'),
      ...(['p50', 'p95', 'p99', 'max'] as const).map((of) => latencyText(entry.latencyMs.final, of)),
      entry.cpuSecondsPer1000.toFixed(3),
      entry.wireBytesPerTx === null ? '–' : entry.wireBytesPerTx.toFixed(0),
    ]),
    HEAD.map((_, index) => index).slice(1),
  );
}

export function processTable(style: ScreenStyle, { processes, measuredSeconds }: Entry): string {
  return plainTable(
    style,
    ['process', 'CPU s', 'cores', 'CPU µs/tx', 'resident max MB'],
    processes.map(({ name, cpuSeconds, cpuSecondsPer1000, residentBytesMax }) => [
      name,
      cpuSeconds.toFixed(2),
      (cpuSeconds / measuredSeconds).toFixed(2),
      (cpuSecondsPer1000 * 1000).toFixed(1),
      (residentBytesMax / 1e6).toFixed(0),
    ]),
    [1, 2, 3, 4],
  );
}

/** The whole result, as it is printed at the end. */
export function reportText(style: ScreenStyle, report: BenchReport): string {
  const baselines = Object.values(report.baselines);
  const parts = [entryTable(style, [report, ...baselines])];
  for (const { title, ratio, ratios } of baselines) {
    const times = (value: number | null) => (value === null ? '–' : `${value.toFixed(2)} ×`);
    parts.push(
      `against ${title}: throughput ${times(ratio)}, final latency p50 ${times(ratios.finalP50)} p99 ${times(ratios.finalP99)}, CPU a transaction ${times(ratios.cpuSecondsPer1000)}`,
    );
  }
  parts.push(processTable(style, report));
  parts.push(
    plainTable(
      style,
      ['station', 'mean ms'],
      report.stations.map(({ name, meanMs }) => [name, meanMs.toFixed(2)]),
      [1],
    ),
  );
  for (const entries of Object.values(report.sweep)) parts.push(entryTable(style, entries));
  if (report.kneeTps !== null) parts.push(`knee: ${rateText(report.kneeTps)} tx/s are borne`);
  if (report.repetitions > 1) {
    const { finalizedTps } = report.spread;
    parts.push(
      `${report.repetitions} repetitions: ${rateText(finalizedTps.min)} to ${rateText(finalizedTps.max)} tx/s; shown is the median`,
    );
  }
  parts.push(`checked: ${report.checked}`);
  for (const note of report.notes) parts.push(note);
  if (report.profilePath !== null) parts.push(`CPU profile: ${report.profilePath}`);
  return parts.join('\n\n');
}
