/** A short bench of a real network, as a person runs it: nothing lost, and the result as documented. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { BenchReport } from '../src/report/schema.ts';

const MAIN = fileURLToPath(new URL('../dist/src/main.js', import.meta.url));
const RATE = 200;

it('offers a fixed rate, finds every accepted transaction in the sequence, and writes its reports', () => {
  const directory = mkdtempSync(join(tmpdir(), 'squad-bench-e2e-'));
  try {
    const file = (name: string) => join(directory, name);
    const args = ['--nodes', '4', '--rate', String(RATE), '--duration', '3', '--warmup', '1', '--baseline', 'single'];
    args.push('--clients', '1', '--connections', '2', '--dir', directory);
    args.push('--json', file('bench.json'), '--html', file('bench.html'), '--svg', file('plots'));
    const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    expect(stdout).toContain('SQUAD, 4 validators');

    const report = BenchReport.parse(JSON.parse(readFileSync(file('bench.json'), 'utf8')));
    for (const entry of [report, report.baselines.single!]) {
      // The arrival times are fixed before the start: a slow machine is offered the same.
      expect(entry.offeredTps).toBe(RATE);
      expect([entry.lost, entry.duplicated, entry.rejected]).toEqual([0, 0, 0]);
      expect(entry.latencyMs.final!.p50).toBeGreaterThanOrEqual(entry.latencyMs.soft!.p50);
      expect(entry.latencyMs.soft!.p50).toBeGreaterThan(0);
      expect(entry.stations).toHaveLength(5);
    }
    expect(report.processes.map(({ name }) => name)).toEqual([
      ...[0, 1, 2, 3].map((index) => `sequencer-${index}`),
      'load-0',
      'bench',
    ]);
    expect(report.checked).toContain('equal on 4 nodes');
    expect(readFileSync(file('bench.html'), 'utf8')).toContain('</html>');
    for (const plot of ['latency-over-time', 'cpu', 'memory', 'stations']) {
      expect(existsSync(join(file('plots'), `${plot}.svg`))).toBe(true);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

it('says what is wrong with its options before it starts anything', () => {
  for (const [args, words] of [
    [['--nodes', '3'], '--nodes 3'],
    [['--nodes', '4', '--faults', 'crash:2'], 'bear 1'],
    [['--rate', 'fast'], 'max, sweep or transactions a second'],
  ] as const) {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stderr).toContain(words);
  }
});
