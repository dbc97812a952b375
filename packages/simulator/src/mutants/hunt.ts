/** A process of its own for one mutant: loads the sources with its edits and runs schedules until an invariant breaks. */

import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { argv, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { type Edit, MUTANTS, SCHEDULE_DONE } from './table.ts';

export interface HuntResult {
  /** Undefined: it survived. */
  readonly killedBy: string | undefined;
  readonly message: string;
  readonly seed: number;
  readonly schedules: number;
}

function apply(edits: readonly Edit[]): void {
  const pending = new Set(edits);
  registerHooks({
    load: (url, context, nextLoad) => {
      const mine = url.startsWith('file:') ? edits.filter(({ file }) => url.endsWith(`/packages/${file}`)) : [];
      if (mine.length === 0) return nextLoad(url, context);
      let source = readFileSync(fileURLToPath(url), 'utf8');
      for (const edit of mine) {
        const parts = source.split(edit.search);
        if (parts.length !== 2) throw new Error(`${edit.file}: found ${parts.length - 1} times: ${edit.search}`);
        source = parts.join(edit.replace);
        pending.delete(edit);
      }
      return { format: 'module-typescript', source, shortCircuit: true };
    },
  });
  process.on('exit', () => {
    if (pending.size > 0) process.exitCode = 3;
  });
}

async function hunt(name: string, firstSeed: number, seeds: number): Promise<HuntResult> {
  const mutant = MUTANTS.find((each) => each.name === name);
  if (!mutant) throw new Error(`there is no mutant "${name}"`);
  apply(mutant.edits);
  const { modeOf } = await import('../modes.ts');
  const mode = modeOf(mutant.mode);
  if (!mode) throw new Error(`there is no mode "${mutant.mode}"`);
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const { failure } = await mode.run(mode.draw(seed, mutant.draw ?? {}), 0);
    if (!failure) {
      stdout.write(SCHEDULE_DONE);
      continue;
    }
    const message = failure.message.split('\n')[0]!;
    return { killedBy: failure.invariant, message, seed, schedules: seed - firstSeed + 1 };
  }
  return { killedBy: undefined, message: '', seed: firstSeed + seeds - 1, schedules: seeds };
}

const [, , name, firstSeed, seeds] = argv;
stdout.write(`${JSON.stringify(await hunt(name ?? '', Number(firstSeed), Number(seeds)))}\n`);
