/** The Nitro feed of a rollup node, if its options ask for one. */

import type { Closing, Logger, Metrics } from '@squad/service';
import { SquadError } from '@squad/types';
import type { Rollup } from '../../derivation/open.ts';
import type { RollupNodeOptions } from '../../options.ts';
import { NitroExecutor } from './executor.ts';
import { createNitroFeed } from './feed-server.ts';
import { readFeedKey } from './key.ts';

/** Returns where it is. Throws SquadError if the rollup is not one for Nitro, or the key or the port are of no use. */
export async function startNitroFeed(
  options: RollupNodeOptions,
  { executor, events, file }: Rollup,
  logger: Logger,
  metrics: Metrics,
  closing: Closing,
): Promise<string | undefined> {
  const { nitroFeedHost: host, nitroFeedPort: port, nitroFeedKey } = options;
  if (port === undefined) return undefined;
  if (!(executor instanceof NitroExecutor)) {
    throw new SquadError(
      'ROLLUP_NOT_NITRO',
      `a Nitro feed is asked for, and the executor in the rollup file is "${executor.kind}": it leaves out what Nitro might execute`,
      'Set "executor": "nitro" in the rollup file of a new data directory, or leave --nitro-feed-port out.',
    );
  }
  const key = nitroFeedKey === undefined ? undefined : await readFeedKey(nitroFeedKey);
  const feed = await createNitroFeed({
    host,
    port,
    chainId: file.rollupId,
    messages: executor,
    events,
    sign: key?.sign,
    logger: logger.child({ part: 'nitro-feed' }),
    metrics,
  });
  closing.add(() => feed.close());
  logger.info({ nitroFeedUrl: feed.url, signer: key?.address ?? 'none' }, 'the Nitro feed serves');
  return feed.url;
}
