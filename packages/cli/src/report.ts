/** How an error looks to a person: what happened, then what to do. A stack only if SQUAD_DEBUG is set. */

import { SquadError } from '@squad/types';

export function report(error: unknown): void {
  process.stderr.write(`${describe(error, process.stderr.isTTY === true)}\n`);
  if (process.env.SQUAD_DEBUG) process.stderr.write(`\n${stackOf(error)}\n`);
}

export function describe(error: unknown, color: boolean): string {
  const paint = (code: number, text: string) => (color ? `\x1b[${code}m${text}\x1b[0m` : text);
  if (error instanceof SquadError) {
    return `${paint(31, 'error:')} ${error.message}\n${paint(36, 'remedy:')} ${error.remedy}`;
  }
  const message = error instanceof Error ? error.message : String(error);
  return (
    `${paint(31, 'error:')} ${message}\n` +
    `${paint(36, 'remedy:')} this was not foreseen, which is a fault of SQUAD. Run it again with SQUAD_DEBUG=1 for the details and report them.`
  );
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
