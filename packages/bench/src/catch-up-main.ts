/** `npm run bench:catch-up`. */

import { SQUAD_MAIN } from './bench.ts';
import { type CatchUp, catchUpOptions, measureCatchUp } from './catch-up.ts';
import { commandOptions } from './command-options.ts';
import { failed } from './failed.ts';
import { machine } from './report/environment.ts';

async function run(argv: readonly string[]): Promise<void> {
  const options = commandOptions(
    'bench:catch-up',
    'How fast a validator is back that was away under load',
    catchUpOptions,
    argv,
  );
  if (options === undefined) return;
  const measured = await measureCatchUp(options, [process.execPath, SQUAD_MAIN], (text) =>
    process.stderr.write(`  ${text}\n`),
  );
  process.stdout.write(`${text(measured)}\n`);
}

function text(m: CatchUp): string {
  const { cores, cpu } = machine();
  return [
    `while it was away   ${m.blocksMissed} blocks, ${m.liveBlocksPerSecond.toFixed(1)} blocks/s, ${m.liveTps.toFixed(0)} tx/s`,
    `it serves after     ${m.servesSeconds.toFixed(1)} s`,
    `it is ready after   ${m.readySeconds.toFixed(1)} s`,
    `it votes after      ${m.votesSeconds.toFixed(1)} s`,
    `it catches up with  ${m.catchUpBlocksPerSecond.toFixed(0)} blocks/s, ${m.ratio.toFixed(1)} times the live rate`,
    `its CPU             ${m.cpuMsPerBlock === undefined ? 'not measured here' : `${m.cpuMsPerBlock.toFixed(2)} ms a block, all threads`}`,
    `machine             ${cores} cores, ${cpu}`,
  ].join('\n');
}

run(process.argv.slice(2)).catch(failed);
