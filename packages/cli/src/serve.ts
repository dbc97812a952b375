/** The life of a long-running process: serve until told to stop, stop in order, and tell a launcher when it serves. */

import { SERVING_MESSAGE } from '@squad/testnet/serving';
import { SquadError } from '@squad/types';
import { report } from './report.ts';

/** From the first request to stop until the process ends itself, whatever still hangs. */
export const FORCED_EXIT_AFTER_MS = 15_000;

export interface Service {
  stop(): Promise<void>;
}

/**
 * Calls `create` and serves until SIGTERM, SIGINT or the launcher's end. A second signal ends the process at once.
 * Resolves with the exit code.
 */
export async function serve(create: () => Promise<Service>): Promise<number> {
  const stop = requestToStop();
  try {
    const service = await create();
    process.send?.(SERVING_MESSAGE);
    await stop.requested;
    const forced = setTimeout(() => {
      process.stderr.write(`did not stop within ${FORCED_EXIT_AFTER_MS / 1000} s: ended\n`);
      process.exit(1);
    }, FORCED_EXIT_AFTER_MS);
    await service.stop();
    clearTimeout(forced);
    return 0;
  } finally {
    // Without a listener the channel keeps no process alive.
    stop.forget();
  }
}

function requestToStop(): { readonly requested: Promise<void>; forget(): void } {
  const { promise: requested, resolve } = Promise.withResolvers<void>();
  const resolveRequested = () => resolve();
  let requests = 0;
  const request = () => {
    requests++;
    if (requests > 1) process.exit(130);
    resolveRequested();
  };
  process.on('SIGTERM', request);
  process.on('SIGINT', request);
  // The channel closes with the launcher, even if that was killed.
  process.on('disconnect', resolveRequested);
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  return {
    requested,
    forget: () => {
      process.off('SIGTERM', request);
      process.off('SIGINT', request);
      process.off('disconnect', resolveRequested);
      process.off('uncaughtException', fatal);
      process.off('unhandledRejection', fatal);
    },
  };
}

/** The state in memory is not to be trusted any more. A failure that no code foresaw is a bug: with its stack. */
function fatal(error: unknown): void {
  if (!(error instanceof SquadError)) process.env.SQUAD_DEBUG ??= '1';
  report(error);
  process.exit(1);
}
