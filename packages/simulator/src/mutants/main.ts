/** `npm run sim:mutants`: each mutant has to be killed within the budget of a campaign; which invariant it was, and how soon. */

import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { HuntResult } from './hunt.ts';
import { MUTANTS, type Mutant, SCHEDULE_DONE } from './table.ts';

/** As many as a campaign has. */
const DEFAULT_SEEDS = { core: 20_000, epochs: 2_000, l1: 2_000, node: 300, 'node-epochs': 200 };
/** A mutant with a schedule that never ends is dead, too. For one schedule, on a busy machine. */
const SCHEDULE_TIMEOUT_MS = 20 * 60_000;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function hunt(mutant: Mutant, firstSeed: number, seeds: number): Promise<HuntResult> {
  const file = new URL('./hunt.ts', import.meta.url).pathname;
  return new Promise((resolve, reject) => {
    const args = ['--conditions=source', file, mutant.name, String(firstSeed), String(seeds)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, SCHEDULE_TIMEOUT_MS);
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      timer.refresh();
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      errors += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      const done = output.lastIndexOf(SCHEDULE_DONE) + 1;
      if (isLate)
        resolve({ killedBy: 'ends', message: 'it does not end', seed: firstSeed + done, schedules: done + 1 });
      else if (code === 0) resolve(JSON.parse(output.slice(output.indexOf('{'))) as HuntResult);
      else reject(new Error(`${mutant.name}: exit code ${code}\n${errors}`));
    });
  });
}

function line(mutant: Mutant, result: HuntResult): string {
  const what = `${mutant.mode.padEnd(12)}${mutant.rule.padEnd(10)}${mutant.name.padEnd(58)}`;
  if (result.killedBy === undefined) return `✗ ${what} SURVIVED ${result.schedules} schedules`;
  return `✓ ${what} ${result.killedBy} (schedule ${result.schedules}, seed ${result.seed})`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string', default: '1' },
      only: { type: 'string' },
      workers: { type: 'string' },
    },
  });
  const chosen = MUTANTS.filter(
    ({ name, rule }) => values.only === undefined || rule === values.only || name.includes(values.only),
  );
  const queue = chosen.filter(({ equivalent }) => equivalent === undefined);
  const survivors: string[] = [];
  let broken = 0;
  const workers = Number(values.workers ?? availableParallelism());
  const total = queue.length;
  const thread = async (): Promise<void> => {
    for (let mutant = queue.shift(); mutant; mutant = queue.shift()) {
      const seeds = values.seeds === undefined ? DEFAULT_SEEDS[mutant.mode] : Number(values.seeds);
      try {
        const result = await hunt(mutant, Number(values.seed), seeds);
        if (result.killedBy === undefined) survivors.push(mutant.name);
        say(line(mutant, result));
      } catch (error) {
        broken++;
        say(`! ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: workers }, thread));
  for (const { name, equivalent } of chosen) if (equivalent !== undefined) say(`= ${name}: equivalent. ${equivalent}`);
  say(`${total} mutants: ${total - survivors.length - broken} killed, ${survivors.length} survived, ${broken} not run`);
  return survivors.length + broken === 0 ? 0 : 1;
}

process.exitCode = await main();
