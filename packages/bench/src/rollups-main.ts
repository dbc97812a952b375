/** `npm run bench:rollups`. */

import { SQUAD_MAIN } from './bench.ts';
import { commandOptions } from './command-options.ts';
import { failed } from './failed.ts';
import { machine } from './report/environment.ts';
import type { Latency } from './report/schema.ts';
import { measureRollups, type RollupsMeasured, rollupsOptions } from './rollups.ts';

async function run(argv: readonly string[]): Promise<void> {
  const options = commandOptions(
    'bench:rollups',
    'Many rollups in one set: what the light ones bear while one floods',
    rollupsOptions,
    argv,
  );
  if (options === undefined) return;
  const measured = await measureRollups(options, [process.execPath, SQUAD_MAIN], (text) =>
    process.stderr.write(`  ${text}\n`),
  );
  process.stdout.write(`${text(measured)}\n`);
  if (measured.lost + measured.duplicated + measured.misplaced > 0) process.exitCode = 1;
}

function text(m: RollupsMeasured): string {
  const { cores, cpu } = machine();
  const latency = ({ p50, p99 }: Latency) => `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`;
  return [
    `light rollups, alone        final ${latency(m.alone)}`,
    `light rollups, beside it    final ${latency(m.beside)}: ${(m.beside.p50 / m.alone.p50).toFixed(2)} and ${(m.beside.p99 / m.alone.p99).toFixed(2)} times`,
    `the one that floods         ${m.floodTps.toFixed(0)} tx/s final, ${m.floodRejected} refused`,
    `lost, twice, in another's   ${m.lost}, ${m.duplicated}, ${m.misplaced}`,
    `bytes of its own data       ${m.lightBytes.min} to ${m.lightBytes.max} for a light one, ${m.floodBytes} for the one that floods`,
    `machine                     ${cores} cores, ${cpu}`,
  ].join('\n');
}

run(process.argv.slice(2)).catch(failed);
