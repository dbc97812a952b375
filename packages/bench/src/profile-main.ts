/** `npm run bench:profile -- NAME [SECONDS]`: a CPU profile of a process of a running testnet, or of one by its pid and log. */

import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readState } from '@squad/testnet';
import { SquadError } from '@squad/types';
import { failed } from './failed.ts';
import { startProfile } from './measure/profile.ts';

const DEFAULT_SECONDS = 10;

async function run([name, seconds = String(DEFAULT_SECONDS), directory = '.squad']: readonly string[]): Promise<void> {
  if (name === undefined || !(Number(seconds) > 0)) {
    throw new SquadError(
      'PROFILE_USAGE',
      'no process was named',
      'npm run bench:profile -- sequencer-0 [seconds] [folder of the testnet, default .squad]',
    );
  }
  const { processes } = await readState(directory);
  const found = processes.find((one) => one.name === name);
  if (found === undefined || found.pid === null) {
    const names = processes.map((one) => one.name).join(', ');
    throw new SquadError('PROFILE_PROCESS', `no process ${name} runs in ${directory}`, `There are: ${names}.`);
  }
  const profile = await startProfile(found.pid, found.logPath);
  process.stderr.write(`profiling ${name} for ${seconds} s …\n`);
  await sleep(Number(seconds) * 1000);
  const path = resolve(`${name}-${Date.now()}.cpuprofile`);
  await profile.stop(path);
  process.stdout.write(`${path}\nOpen it in Chrome (DevTools, Performance) or VS Code.\n`);
}

run(process.argv.slice(2)).catch(failed);
