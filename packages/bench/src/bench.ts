/** The whole of a bench: options, systems, runs, report. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandOptions } from './command-options.ts';
import { type BenchOptions, benchOptions, checkBenchOptions } from './options.ts';
import { commit, machine } from './report/environment.ts';
import { reportHtml } from './report/html.ts';
import { plotsOf } from './report/plots.ts';
import { type BenchReport, REPORT_FORMAT, REPORT_VERSION } from './report/schema.ts';
import { reportText, runLine } from './report/table.ts';
import { runSuite } from './run/suite.ts';
import { chooseSystems } from './run/systems.ts';

/** The repository, from the sources as from the compiled files. */
export const ROOT: string = fileURLToPath(
  new URL(import.meta.url.includes('/dist/') ? '../../../..' : '../../..', import.meta.url),
);
/** The program as `npm start` runs it. */
export const SQUAD_MAIN: string = join(ROOT, 'packages/cli/dist/bundle/main.js');

/** Resolves with the exit code: 0, or 1 if a transaction was lost or doubled. */
export async function runBench(argv: readonly string[]): Promise<number> {
  const about = 'Measures a network of real processes under load (docs/benchmarks.md)';
  const options = commandOptions('bench', about, benchOptions, argv, checkBenchOptions);
  if (options === undefined) return 0;
  const report = await bench(options, (text) => process.stderr.write(`${text}\n`));
  writeReports(options, report);
  process.stdout.write(`\n${reportText({ color: process.stdout.isTTY === true }, report)}\n`);
  return report.lost + report.duplicated > 0 ? 1 : 0;
}

export async function bench(options: BenchOptions, onProgress: (text: string) => void): Promise<BenchReport> {
  const startedAt = new Date().toISOString();
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const { systems, notes } = await chooseSystems(options, [process.execPath, SQUAD_MAIN], version);
  for (const note of notes) onProgress(note);
  const context = { options, onProgress: (text: string) => onProgress(`  ${text}`) };
  const result = await runSuite(context, systems, (run) => onProgress(runLine(run)));
  return {
    ...result.own,
    format: REPORT_FORMAT,
    version: REPORT_VERSION,
    startedAt,
    commit: commit(ROOT),
    machine: machine(),
    versions: {
      node: process.version,
      ...Object.fromEntries(systems.map((system) => [system.id, system.version])),
    },
    seed: options.seed,
    workload: options.workload,
    txSize: options.transactionBytes,
    latency: options.latency === 'wan' ? `wan, ${options.wanDelay} ms one way between validators` : 'none',
    options: { ...options },
    baselines: { ...result.baselines },
    sweep: Object.fromEntries(Object.entries(result.sweep).map(([id, entries]) => [id, [...entries]])),
    kneeTps: result.kneeTps,
    notes: [...notes],
  };
}

/** The last result is always kept; others where they were asked for. */
function writeReports({ directory, json, html, svg }: BenchOptions, report: BenchReport): void {
  const jsonText = `${JSON.stringify(report, null, 2)}\n`;
  const htmlText = reportHtml(report);
  write(join(directory, 'last.json'), jsonText);
  write(join(directory, 'last.html'), htmlText);
  if (json !== undefined) write(json, jsonText);
  if (html !== undefined) write(html, htmlText);
  if (svg !== undefined) for (const plot of plotsOf(report)) write(join(svg, `${plot.id}.svg`), plot.svg);
}

function write(path: string, text: string): void {
  mkdirSync(dirname(resolve(path)), { recursive: true });
  writeFileSync(path, text);
}
