/** The engine driver of a node, if its options name an execution client. */

import type { Logger, Metrics } from '@squad/service';
import { fromHex, SquadError } from '@squad/types';
import type { Rollup } from '../derivation/open.ts';
import type { SkippedTransactions } from '../derivation/skipped.ts';
import type { Executor } from '../execution/api.ts';
import { requireEthereumBlocks } from '../execution/evm/ethereum-genesis.ts';
import { EvmExecutor } from '../execution/evm/executor.ts';
import { EvmHistory } from '../execution/evm/history.ts';
import { hexOf } from '../hex.ts';
import type { RollupNodeOptions } from '../options.ts';
import { opStack } from '../stacks/op/adapter.ts';
import { OpExecutor } from '../stacks/op/executor.ts';
import type { DerivedBlock, DerivedChain } from './api.ts';
import { createEngineDriver, type EngineDriver, type EngineDriverConfig } from './driver.ts';
import { attributesFeeder, type OnLeftOut, payloadFeeder } from './feeder.ts';
import { readJwtSecret } from './jwt.ts';
import { plainStack } from './stack.ts';

type Times = Pick<EngineDriverConfig<DerivedBlock>, 'retryMinMs' | 'executeTimeoutMs'>;

/** Throws SquadError `ENGINE_NEEDS_EVM`, `NOT_ETHEREUM_BLOCKS`, `JWT_SECRET_UNREADABLE` or `JWT_SECRET_INVALID`. */
export async function driveEngine(
  { engine: url, jwtSecret, engineMode }: Pick<RollupNodeOptions, 'engine' | 'jwtSecret' | 'engineMode'>,
  { executor, events, file, skipped }: Rollup,
  onFailed: (error: unknown) => void,
  logger: Logger,
  metrics: Metrics,
  times: Times = {},
): Promise<EngineDriver | undefined> {
  if (url === undefined || jwtSecret === undefined) return undefined;
  if (!(executor instanceof EvmExecutor || executor instanceof OpExecutor)) {
    const message = `engine names an execution client, and the rollup "${file.name}" is not executed by an EVM`;
    throw new SquadError('ENGINE_NEEDS_EVM', message, 'Leave the option out, or use an EVM rollup.');
  }
  if (executor instanceof EvmExecutor) requireEthereumBlocks(file);
  // A wrong file is told at once; from then on it is read anew whenever the client is lost.
  await readJwtSecret(jwtSecret);
  const config = {
    url,
    jwtSecretPath: jwtSecret,
    fork: file.hardfork === 'osaka' ? ('osaka' as const) : ('prague' as const),
    chainId: file.rollupId,
    onChange: (listener: () => void) => {
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
  };
  if (executor instanceof OpExecutor) {
    const feeder = attributesFeeder(opStack(file), recordLeftOut(skipped, config.logger, metrics));
    return createEngineDriver({ ...config, chain: derivedChain(executor, executor), feeder });
  }
  const genesisHash = hexOf(executor.hashAt(0));
  const feeder = engineMode === 'payload' ? payloadFeeder(genesisHash) : attributesFeeder(plainStack(genesisHash));
  return createEngineDriver({ ...config, chain: derivedChain(executor, new EvmHistory(executor)), feeder });
}

/** For those who ask what became of a transaction; the client knows it as little as if it had never been sent. */
function recordLeftOut(skipped: SkippedTransactions, logger: Logger, metrics: Metrics): OnLeftOut<DerivedBlock> {
  const counter = metrics.counter({
    name: 'squad_engine_left_out_transactions_total',
    help: 'Ordered transactions that the execution client refused, and that its block is without',
  });
  return ({ summary: { number } }, leftOut) => {
    for (const { hash, reason } of leftOut) {
      counter.increment();
      skipped.add({ hash: fromHex(hash), code: 'INVALID', reason, height: undefined });
    }
    const [{ hash, reason } = { hash: undefined, reason: undefined }] = leftOut;
    logger.info(
      { number, count: leftOut.length, hash, reason },
      'the execution client refuses some of the transactions',
    );
  };
}

function derivedChain<Block extends DerivedBlock>(
  executor: Executor,
  blocks: { blockAt(number: number): Block | undefined },
): DerivedChain<Block> {
  return {
    get headNumber() {
      return executor.head.number;
    },
    get finalNumber() {
      return executor.latest.number;
    },
    blockAt: (number) => (number <= executor.head.number ? blocks.blockAt(number) : undefined),
  };
}
