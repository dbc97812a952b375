/** How an error looks to a person: what happened, then what to do. A stack only if SQUAD_DEBUG is set. */

import { SquadError } from '@squad/types';

export function report(error: unknown): void {
  process.stderr.write(`${describe(error, process.stderr.isTTY === true)}\n`);
  if (process.env.SQUAD_DEBUG) process.stderr.write(`\n${stackOf(error)}\n`);
}

export function describe(error: unknown, color: boolean): string {
  const paint = (code: number, text: string) => (color ? `\x1b[${code}m${text}\x1b[0m` : text);
  const message = error instanceof Error ? error.message : String(error);
  return `${paint(31, 'error:')} ${message}\n${paint(36, 'remedy:')} ${remedyOf(error) ?? NOT_FORESEEN}`;
}

const NOT_FORESEEN =
  'this was not foreseen, which is a fault of SQUAD. Run it again with SQUAD_DEBUG=1 for the details and report them.';

const OF_FILES = 'Check that the path is right, that its folder exists, and that this user may read and write there.';

function remedyOf(error: unknown): string | undefined {
  if (error instanceof SquadError) return error.remedy;
  // Of the file system, whose message names the path: what a person gave, or the state of their disk.
  if (error instanceof Error && 'path' in error && 'syscall' in error) return OF_FILES;
  // What a node answered with, an `RpcError`: told by its form, as its class comes with the whole server.
  const remedy = (error as { data?: { remedy?: unknown } } | undefined)?.data?.remedy;
  return typeof remedy === 'string' ? remedy : undefined;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
