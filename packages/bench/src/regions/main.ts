/** `npm run bench:regions`: sets of 4 to 100 validators over ten regions of the world, by simulation with measured costs. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { OptionValues } from '@squad/service';
import { plainTable } from '@squad/testnet';
import { SquadError } from '@squad/types';
import { ROOT } from '../bench.ts';
import { commandOptions } from '../command-options.ts';
import { failed } from '../failed.ts';
import { type MicroRecord, readRecord } from '../micro/compare.ts';
import { commit } from '../report/environment.ts';
import { Costs } from './costs.ts';
import { INITIAL_WINDOW_BYTES } from './links.ts';
import { REGIONS, ROUND_TRIPS_MS } from './matrix.ts';
import { regionsOptions, sizesOf } from './options.ts';
import type { Absent, Percentiles, RegionResult } from './scenario.ts';
import { RegionWorld } from './world.ts';

const REFERENCE = join(ROOT, 'packages/bench/reference/micro.json');

function run(argv: readonly string[]): void {
  const options = commandOptions(
    'bench:regions',
    'Sets of validators over regions of the world, by simulation with measured costs',
    regionsOptions,
    argv,
  );
  if (options === undefined) return;
  const reference = readRecord(REFERENCE);
  if (!reference) {
    throw new SquadError(
      'MICRO_RECORD_MISSING',
      `there is no ${REFERENCE}`,
      'Write it: npm run bench:micro -- --reference',
    );
  }
  const results: RegionResult[] = [];
  for (const validators of sizesOf(options.validators)) {
    for (const absent of options.absent === 'all' ? (['none', 'region', 'faulty'] as const) : [options.absent]) {
      results.push(simulated(options, reference, validators, absent));
    }
  }
  process.stdout.write(`${table(results)}\n`);
  const { cpu, at } = reference;
  process.stdout.write(
    `\nlatencies of AWS by cloudping.co, ${REGIONS.length} regions; costs of ${cpu}, ${at.slice(0, 10)}\n`,
  );
  if (options.json !== undefined) writeJson(resolve(options.json), options, reference, results);
  if (results.some(({ unfinished }) => unfinished > 0)) process.exitCode = 1;
}

type Options = OptionValues<typeof regionsOptions>;

function simulated(options: Options, { microseconds }: MicroRecord, validators: number, absent: Absent): RegionResult {
  const before = process.cpuUsage();
  const result = new RegionWorld({
    ...options,
    validators,
    absent,
    roundTripsMs: ROUND_TRIPS_MS,
    costs: new Costs(microseconds, options.cpu),
    windowBytes: options.tcp === 'cold' ? INITIAL_WINDOW_BYTES : Number.POSITIVE_INFINITY,
  }).run();
  const { user, system } = process.cpuUsage(before);
  const took = ((user + system) / 1e6).toFixed(1);
  process.stderr.write(
    `  ${validators} validators, ${result.down} down: final p50 ${ms(result.final, 'p50')} ms, ${result.blocksPerSecond.toFixed(1)} blocks/s; simulated with ${took} s of CPU\n`,
  );
  return result;
}

const HEAD = [
  'validators',
  'down',
  'soft p50',
  'p99',
  'final p50',
  'p99 ms',
  'blocks/s',
  'views a block',
  'CPU ms a block, busiest',
  'median',
  'consensus kB a block',
  'core',
  'uplink',
  'limit',
];

function ms(value: Percentiles | undefined, of: keyof Percentiles): string {
  return value?.[of].toFixed(0) ?? '–';
}

function table(results: readonly RegionResult[]): string {
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  const rows = results.map((r) => [
    String(r.validators),
    downText(r),
    ms(r.soft, 'p50'),
    ms(r.soft, 'p99'),
    ms(r.final, 'p50'),
    ms(r.final, 'p99'),
    r.blocksPerSecond.toFixed(1),
    r.viewsPerBlock.toFixed(2),
    r.cpuMsPerBlock.busiest.toFixed(1),
    r.cpuMsPerBlock.median.toFixed(1),
    (r.consensusBytesPerBlock / 1_000).toFixed(1),
    percent(r.cpuShare),
    percent(r.uplinkShare),
    r.limit,
  ]);
  return plainTable({ color: false }, HEAD, rows, [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
}

function downText({ absent, down }: RegionResult): string {
  if (absent === 'none') return '–';
  return absent === 'region' ? `${down}, ${REGIONS[0]}` : `${down}, as many as it bears`;
}

function writeJson(file: string, options: Options, reference: MicroRecord, results: readonly RegionResult[]): void {
  const { json: _, ...given } = options;
  const { at, cpu, node } = reference;
  const result = {
    format: 'squad-bench-regions',
    version: 1,
    commit: commit(ROOT),
    options: given,
    costs: { at, cpu, node, commit: reference.commit },
    regions: REGIONS,
    results,
  };
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
}

try {
  run(process.argv.slice(2));
} catch (error) {
  failed(error);
}
