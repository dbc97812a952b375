/** Waiting for what other processes will bring about, with a word on what was missing. */

import { setTimeout as sleep } from 'node:timers/promises';
import { SquadError } from '@squad/types';

/** Between two looks. */
export const POLL_INTERVAL_MS = 50;

/**
 * Calls `look` until it returns something other than undefined and false. Throws a SquadError `WAIT_TIMEOUT` that says what
 * was waited for and, if `look` threw, its last error.
 */
export async function waitFor<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 30_000,
  intervalMs = POLL_INTERVAL_MS,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) break;
    await sleep(intervalMs);
  }
  const because = last instanceof Error ? `: ${last.message}` : '';
  throw new SquadError(
    'WAIT_TIMEOUT',
    `${what} did not happen within ${timeoutMs / 1000} s${because}`,
    'Look at the logs of the processes.',
    {},
    last,
  );
}
