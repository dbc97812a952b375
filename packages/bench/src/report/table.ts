/** Results as text for a terminal. */

import { plainTable, type ScreenStyle } from '@squad/testnet';
import type { LatencySummary, Summary } from '../run/summary.ts';

export function rate(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function latency(value: LatencySummary | null, of: keyof LatencySummary): string {
  return value === null ? '–' : value[of].toFixed(1);
}

export function summaryTable(style: ScreenStyle, { rows }: { rows: readonly (readonly [string, Summary])[] }): string {
  const head = [
    'run',
    'offered/s',
    'accepted/s',
    'final/s',
    'rejected',
    'lost',
    'soft p50',
    'p99',
    'final p50',
    'p95',
    'p99',
    'max ms',
  ];
  return plainTable(
    style,
    head,
    rows.map(([name, summary]) => [
      name,
      rate(summary.offeredTps),
      rate(summary.acceptedTps),
      rate(summary.finalizedTps),
      rate(summary.rejected),
      rate(summary.lost),
      latency(summary.latencyMs.soft, 'p50'),
      latency(summary.latencyMs.soft, 'p99'),
      ...(['p50', 'p95', 'p99', 'max'] as const).map((of) => latency(summary.latencyMs.final, of)),
    ]),
    head.map((_, index) => index).slice(1),
  );
}

export function processTable(style: ScreenStyle, summary: Summary, seconds: number): string {
  const final = summary.finalizedTps * seconds;
  return plainTable(
    style,
    ['process', 'CPU s', 'cores', 'µs/tx', 'RSS max MB'],
    summary.processes.map(({ name, cpuSeconds, residentBytesMax }) => [
      name,
      cpuSeconds.toFixed(2),
      (cpuSeconds / seconds).toFixed(2),
      final > 0 ? ((cpuSeconds * 1e6) / final).toFixed(1) : '–',
      (residentBytesMax / 1e6).toFixed(0),
    ]),
    [1, 2, 3, 4],
  );
}
