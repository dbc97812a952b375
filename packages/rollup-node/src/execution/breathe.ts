/**
 * Lets the event loop turn during long computations: execution awaits only things that are ready, so without this a full
 * block would keep the node from answering anybody. Has no effect on results.
 */

import { setImmediate } from 'node:timers/promises';

/** Milliseconds that execution may run before timers, sockets and callers get their turn. */
export const MAX_UNINTERRUPTED_MS = 15;
/** Steps between looks at the clock. */
const STEPS_BETWEEN_LOOKS = 64;

let steps = 0;
let lastTurnMs = 0;

/** Await what it returns, if it returns anything. */
export function breathe(): Promise<void> | undefined {
  if (++steps % STEPS_BETWEEN_LOOKS !== 0) return undefined;
  return performance.now() - lastTurnMs < MAX_UNINTERRUPTED_MS ? undefined : turn();
}

/** Like `breathe`, for steps of which each one takes long enough to look at the clock. */
export function breatheNow(): Promise<void> | undefined {
  return performance.now() - lastTurnMs < MAX_UNINTERRUPTED_MS ? undefined : turn();
}

async function turn(): Promise<void> {
  await setImmediate();
  lastTurnMs = performance.now();
}
