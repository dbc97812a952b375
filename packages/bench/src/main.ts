/** `npm run bench`. */

import { fileURLToPath } from 'node:url';
import { attachOptions, givenFlags, resolveOptions } from '@squad/service';
import { SquadError } from '@squad/types';
import { Command } from 'commander';
import { benchOptions } from './options.ts';
import { processTable, summaryTable } from './report/table.ts';
import { measure } from './run/measurement.ts';
import { summarize } from './run/summary.ts';

/** The program as `npm start` runs it. */
const SQUAD_MAIN = fileURLToPath(new URL('../../../cli/dist/bundle/main.js', import.meta.url));

async function main(argv: readonly string[]): Promise<void> {
  const command = attachOptions(new Command('bench'), benchOptions);
  command.parse([...argv], { from: 'user' });
  const resolved = resolveOptions(benchOptions, { flags: givenFlags(command, benchOptions), env: process.env });
  if (!resolved.ok) throw resolved.error;
  const options = resolved.value.values;
  const style = { color: process.stdout.isTTY === true };
  const measured = await measure(
    {
      options,
      program: [process.execPath, SQUAD_MAIN],
      onProgress: (text) => process.stderr.write(`  ${text}\n`),
    },
    { nodes: options.nodes, rate: options.rate === 'max' ? undefined : Number(options.rate) },
  );
  const summary = summarize(measured);
  process.stdout.write(`${summaryTable(style, { rows: [[`${options.nodes} validators`, summary]] })}\n\n`);
  process.stdout.write(`${processTable(style, summary, options.duration)}\n`);
  if (measured.profilePath !== undefined) process.stdout.write(`\nCPU profile: ${measured.profilePath}\n`);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const text =
    error instanceof SquadError ? `error: ${error.message}\nremedy: ${error.remedy}` : String((error as Error).stack);
  process.stderr.write(`${text}\n`);
  process.exitCode = 1;
});
