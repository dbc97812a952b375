/** A real process, killed in the midst of its work again and again, ends with the chain that an undisturbed one makes. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { toHex } from '@squad/types';
import { expect, it } from 'vitest';
import { openRollup } from '../src/derivation/open.ts';
import { temporaryDirectory } from './support/directory.ts';
import { KILLED_ROLLUP, killedPlan } from './support/killed.ts';
import { sequenceOf } from './support/sequence.ts';

const SCRIPT = fileURLToPath(new URL('./support/killed.ts', import.meta.url));

/** Runs the process until it has told of so many heights, kills it at once, and returns the last height it told. */
async function runUntil(directory: string, heights: number): Promise<number> {
  const child = spawn(process.execPath, ['--conditions=source', SCRIPT, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let last = 0;
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    last = Number(line);
    if (++count === heights) child.kill('SIGKILL');
  }
  await exited;
  return last;
}

it('survives being killed', async () => {
  const undisturbed = await openRollup(KILLED_ROLLUP, temporaryDirectory());
  for (const block of sequenceOf(killedPlan())) await undisturbed.derivation.applyFinal(block);
  const expected = undisturbed.executor.latest;
  await undisturbed.derivation.close();

  const directory = temporaryDirectory();
  let told = 0;
  for (const heights of [7, 20, 30]) {
    const last = await runUntil(directory, heights);
    expect(last).toBeGreaterThan(told - 4);
    told = last;
  }
  await runUntil(directory, Number.POSITIVE_INFINITY);
  const survivor = await openRollup(KILLED_ROLLUP, directory);
  expect(toHex(survivor.executor.latest.hash)).toBe(toHex(expected.hash));
  expect(survivor.executor.latest.number).toBe(30);
  await survivor.derivation.close();
});
