/** The engine driver of a node, if its options name an execution client. */

import type { Logger, Metrics } from '@squad/service';
import { SquadError } from '@squad/types';
import type { Rollup } from '../derivation/open.ts';
import { requireEthereumBlocks } from '../execution/evm/ethereum-genesis.ts';
import { EvmExecutor } from '../execution/evm/executor.ts';
import { EvmHistory } from '../execution/evm/history.ts';
import { hexOf } from '../hex.ts';
import type { RollupNodeOptions } from '../options.ts';
import type { DerivedChain } from './api.ts';
import { createEngineDriver, type EngineDriver, type EngineDriverConfig } from './driver.ts';
import { attributesFeeder, payloadFeeder } from './feeder.ts';
import { readJwtSecret } from './jwt.ts';
import { plainStack } from './stack.ts';

/** Throws SquadError `ENGINE_NEEDS_EVM`, `NOT_ETHEREUM_BLOCKS`, `JWT_SECRET_UNREADABLE` or `JWT_SECRET_INVALID`. */
export async function driveEngine(
  { engine: url, jwtSecret, engineMode }: Pick<RollupNodeOptions, 'engine' | 'jwtSecret' | 'engineMode'>,
  { executor, events, file }: Rollup,
  onFailed: (error: unknown) => void,
  logger: Logger,
  metrics: Metrics,
  times: Pick<EngineDriverConfig, 'retryMinMs' | 'executeTimeoutMs'> = {},
): Promise<EngineDriver | undefined> {
  if (url === undefined || jwtSecret === undefined) return undefined;
  if (!(executor instanceof EvmExecutor)) {
    const message = `engine names an execution client, and the rollup "${file.name}" is not executed by an EVM`;
    throw new SquadError('ENGINE_NEEDS_EVM', message, 'Leave the option out, or use an EVM rollup.');
  }
  requireEthereumBlocks(file);
  // A wrong file is told at once; from then on it is read anew whenever the client is lost.
  await readJwtSecret(jwtSecret);
  const genesisHash = hexOf(executor.hashAt(0));
  return createEngineDriver({
    url,
    jwtSecretPath: jwtSecret,
    fork: file.hardfork === 'osaka' ? 'osaka' : 'prague',
    chainId: file.rollupId,
    chain: derivedChain(executor),
    feeder: engineMode === 'payload' ? payloadFeeder(genesisHash) : attributesFeeder(plainStack(genesisHash)),
    onChange: (listener) => {
      const forget = [
        events.on('latest', listener),
        events.on('pending', listener),
        events.on('reorganised', listener),
      ];
      return () => {
        for (const each of forget) each();
      };
    },
    logger: logger.child({ part: 'engine' }),
    metrics,
    onFailed,
    ...times,
  });
}

function derivedChain(executor: EvmExecutor): DerivedChain {
  const history = new EvmHistory(executor);
  return {
    get headNumber() {
      return executor.head.number;
    },
    get finalNumber() {
      return executor.latest.number;
    },
    blockAt: (number) => (number <= executor.head.number ? history.blockAt(number) : undefined),
  };
}
