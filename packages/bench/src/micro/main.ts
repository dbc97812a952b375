/** `npm run bench:micro`: what the parts cost alone, against the last run here and the reference of the repository. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { plainTable } from '@squad/testnet';
import { ROOT } from '../bench.ts';
import { failed } from '../failed.ts';
import { commit, machine } from '../report/environment.ts';
import { batches } from './batches.ts';
import { change, type MicroRecord, readRecord } from './compare.ts';
import { disk } from './disk.ts';
import { frames } from './frames.ts';
import { machine as bareMachine } from './machine.ts';
import { receipts } from './receipts.ts';
import { signatures } from './signatures.ts';
import { MicroRunner } from './suite.ts';
import { transfers } from './transfers.ts';

const GROUPS = { machine: bareMachine, signatures, receipts, batches, disk, frames, transfers } as const;
const LAST = join(ROOT, '.squad-bench/micro.json');
const REFERENCE = join(ROOT, 'packages/bench/reference/micro.json');

/** Arguments: groups to run, all by default; `--reference` writes the committed reference. */
async function run(args: readonly string[]): Promise<void> {
  const wanted = args.filter((arg) => arg in GROUPS) as (keyof typeof GROUPS)[];
  const groups = wanted.length > 0 ? wanted : (Object.keys(GROUPS) as (keyof typeof GROUPS)[]);
  const runner = new MicroRunner(({ name, microseconds }) =>
    process.stderr.write(`  ${name} ${microseconds.toFixed(2)} µs\n`),
  );
  for (const group of groups) await GROUPS[group](runner);
  const last = readRecord(LAST);
  const reference = readRecord(REFERENCE);
  const style = { color: process.stdout.isTTY === true };
  const rows = runner.results.map(({ name, clock, microseconds, rounds }) => [
    name,
    clock,
    microseconds.toFixed(2),
    String(rounds),
    change(microseconds, last?.microseconds[name]) ?? '–',
    change(microseconds, reference?.microseconds[name]) ?? '–',
  ]);
  const head = ['part', 'clock', 'median µs', 'rounds', 'against the last run', 'against the reference'];
  process.stdout.write(`\n${plainTable(style, head, rows, [2, 3, 4, 5])}\n`);
  if (reference !== undefined)
    process.stdout.write(`\nreference: ${reference.cpu}, ${reference.at}, Node ${reference.node}\n`);
  const record = (before: MicroRecord | undefined): MicroRecord => ({
    format: 'squad-bench-micro',
    version: 1,
    at: new Date().toISOString(),
    commit: commit(ROOT),
    cpu: machine().cpu,
    node: process.version,
    microseconds: {
      ...before?.microseconds,
      ...Object.fromEntries(runner.results.map(({ name, microseconds }) => [name, Number(microseconds.toFixed(3))])),
    },
  });
  write(LAST, record(last));
  if (args.includes('--reference')) write(REFERENCE, record(reference));
}

function write(path: string, record: MicroRecord): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(record, null, 2)}\n`);
}

run(process.argv.slice(2)).catch(failed);
