/** How an error that ends a program looks. */

import { SquadError } from '@squad/types';

export function failed(error: unknown): void {
  const text =
    error instanceof SquadError
      ? `error: ${error.message}\nremedy: ${error.remedy}`
      : `error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  process.stderr.write(`${text}\n`);
  process.exitCode = 1;
}
