/** The report as one HTML page that needs nothing else. */

import { plotsOf } from './plots.ts';
import type { BenchReport, Entry, Latency } from './schema.ts';
import { escaped } from './svg.ts';
import { rateText } from './table.ts';

const STYLE = `
body { font: 14px/1.45 system-ui, sans-serif; color: #24292f; max-width: 1180px; margin: 24px auto; padding: 0 16px; }
table { border-collapse: collapse; margin: 12px 0; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 10px; border-bottom: 1px solid #d8dee4; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
svg { max-width: 100%; height: auto; margin: 8px 0; }
.note { color: #57606a; }
.bad { color: #d1242f; font-weight: 600; }
`;

export function reportHtml(report: BenchReport): string {
  const title = `SQUAD bench, ${report.startedAt}`;
  const { machine } = report;
  const baselines = Object.values(report.baselines);
  const body = [
    `<h1>${escaped(title)}</h1>`,
    `<p class="note">${escaped(
      `${machine.cpu}, ${machine.cores} cores, ${(machine.memoryBytes / 1e9).toFixed(0)} GB, ${machine.platform}, Linux ${machine.kernel}; commit ${report.commit ?? 'unknown'}, seed ${report.seed}; ${Object.entries(
        report.versions,
      )
        .map(([name, version]) => `${name} ${version}`)
        .join(', ')}`,
    )}</p>`,
    `<p class="note">${escaped(
      `workload ${report.workload}, ${report.txSize} bytes a transaction, faults ${report.faults}, latency ${report.latency}, ${report.measuredSeconds} s measured, ${report.repetitions} repetitions`,
    )}</p>`,
    entriesTable([report, ...baselines]),
    ...baselines.map(
      ({ title: name, ratio, ratios }) =>
        `<p>Against ${escaped(name)}: throughput ${times(ratio)}, final latency p50 ${times(ratios.finalP50)}, p99 ${times(ratios.finalP99)}, CPU a transaction ${times(ratios.cpuSecondsPer1000)}.</p>`,
    ),
    `<p>Checked: ${escaped(report.checked)}.</p>`,
    ...report.notes.map((note) => `<p class="note">${escaped(note)}</p>`),
    ...plotsOf(report).map(({ svg }) => svg),
    processesTable(report),
    ...Object.values(report.sweep).map(entriesTable),
    report.kneeTps === null ? '' : `<p>Knee: ${rateText(report.kneeTps)} tx/s are borne.</p>`,
    `<details><summary>The whole result as JSON</summary><pre>${escaped(JSON.stringify(report, null, 1))}</pre></details>`,
  ];
  return `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title><style>${STYLE}</style></head><body>\n${body.join('\n')}\n</body></html>\n`;
}

function entriesTable(entries: readonly Entry[]): string {
  const head = [
    'system',
    'offered/s',
    'accepted/s',
    'final/s',
    'MB/s',
    'rejected',
    'lost',
    'soft p50',
    'soft p99',
    'final p50',
    'final p95',
    'final p99',
    'max ms',
    'longest gap ms',
    'CPU s/1000',
    'load CPU s/1000',
    'wire B/tx',
    'blocks/s',
  ];
  const rows = entries.map((entry) => [
    escaped(entry.rate === null ? entry.title : `${entry.title} at ${rateText(entry.rate)}/s`),
    rateText(entry.offeredTps),
    rateText(entry.acceptedTps),
    rateText(entry.finalizedTps),
    entry.finalizedMBps.toFixed(1),
    String(entry.rejected),
    entry.lost > 0 ? `<span class="bad">${entry.lost}</span>` : '0',
    of(entry.latencyMs.soft, 'p50'),
    of(entry.latencyMs.soft, 'p99'),
    of(entry.latencyMs.final, 'p50'),
    of(entry.latencyMs.final, 'p95'),
    of(entry.latencyMs.final, 'p99'),
    of(entry.latencyMs.final, 'max'),
    entry.longestGapMs.toFixed(0),
    entry.cpuSecondsPer1000.toFixed(3),
    entry.loadCpuSecondsPer1000.toFixed(3),
    entry.wireBytesPerTx === null ? '–' : entry.wireBytesPerTx.toFixed(0),
    entry.blocksPerSecond === null ? '–' : entry.blocksPerSecond.toFixed(1),
  ]);
  return table(head, rows);
}

function processesTable({ processes, measuredSeconds }: Entry): string {
  return table(
    ['process', 'role', 'CPU s', 'cores', 'CPU s/1000', 'resident max MB'],
    processes.map(({ name, role, cpuSeconds, cpuSecondsPer1000, residentBytesMax }) => [
      escaped(name),
      escaped(role),
      cpuSeconds.toFixed(2),
      (cpuSeconds / measuredSeconds).toFixed(2),
      cpuSecondsPer1000.toFixed(3),
      (residentBytesMax / 1e6).toFixed(0),
    ]),
  );
}

/** Cells are HTML. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[], tag: 'th' | 'td') =>
    `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;
  return `<table>${row(head, 'th')}${rows.map((cells) => row(cells, 'td')).join('')}</table>`;
}

function of(latency: Latency | null, name: keyof Latency): string {
  return latency === null ? '–' : latency[name].toFixed(1);
}

function times(value: number | null): string {
  return value === null ? '–' : `${value.toFixed(2)} ×`;
}
