/** How an error that ends a program looks. */

import { SquadError } from '@squad/types';
import { CommanderError } from 'commander';

export function failed(error: unknown): void {
  process.exitCode = 1;
  if (error instanceof CommanderError) return; // it has said what is wrong
  const text =
    error instanceof SquadError
      ? `error: ${error.message}\nremedy: ${error.remedy}`
      : `error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  process.stderr.write(`${text}\n`);
}
