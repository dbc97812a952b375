/** The composition root of a sequencer process: reads the options, opens everything real, wires it and starts it. */

import { join } from 'node:path';
import { createNetwork, type Network, type NetworkHandlers } from '@squad/network';
import {
  Closing,
  createLogger,
  createMonitorServer,
  createNotifier,
  createPrometheusMetrics,
  createRpcServer,
  type Logger,
} from '@squad/service';
import { openNodeStore } from '@squad/storage';
import { type Genesis, SquadError, toHex } from '@squad/types';
import { createAdmission } from './admission/index.ts';
import { beginAt, readCheckpoint, refuseToValidate } from './checkpoint.ts';
import { createFeed } from './feed/index.ts';
import { checkIsValidator, type Identity, readIdentity } from './identity.ts';
import { createL1Follower } from './l1-follower.ts';
import { createNetworkMetrics } from './network-metrics.ts';
import { createSequencerApi } from './node-api.ts';
import type { SequencerOptions } from './options.ts';
import type { SequencerApi } from './rpc/api.ts';
import { SEQUENCER_RPC_PATHS, sequencerMethods, sequencerSubscriptions } from './rpc/index.ts';
import { Sequencer } from './sequencer.ts';
import { createSequencerMetrics } from './sequencer-metrics.ts';
import type { SequencerParts } from './sequencer-parts.ts';
import { openValidatorSets } from './validator-sets.ts';

export const SEQUENCER_VERSION = '0.1.0';

export interface SequencerNode {
  readonly rpcUrl: string;
  readonly metricsUrl: string;
  /** With /p2p. */
  readonly addresses: readonly string[];
  /** Resolves once everything is closed; what was accepted is durable. */
  stop(): Promise<void>;
}

/** What tests of real processes put in place of the node's own. */
export interface Replacements {
  /** Stands between the sequencer and its network, before that starts. */
  readonly network?: (network: Network, identity: Identity) => Network;
  /** Stands between the network and the sequencer. */
  readonly handlers?: (handlers: NetworkHandlers) => NetworkHandlers;
  readonly createScheme?: SequencerParts['createScheme'];
}

/** Starts a sequencer; resolves once JSON-RPC and metrics answer. Throws SquadErrors that say what to do. */
export async function createSequencer(
  options: SequencerOptions,
  replacements: Replacements = {},
): Promise<SequencerNode> {
  const closing = new Closing();
  try {
    return await open(options, replacements, closing);
  } catch (error) {
    await closing.close().catch(() => {});
    throw error;
  }
}

async function open(options: SequencerOptions, replacements: Replacements, closing: Closing): Promise<SequencerNode> {
  const identity = await readIdentity(options);
  const { genesis, nodeKey, placeIn } = identity;
  const checkpoint = await checkpointOf(options, genesis);
  const logger = createLogger({ name: options.name, level: options.logLevel });
  const metrics = createPrometheusMetrics();
  const sequencerMetrics = createSequencerMetrics(metrics);
  const info = { title: 'SQUAD sequencer', version: SEQUENCER_VERSION };

  const store = await openNodeStore({
    directory: join(options.dataDirectory, 'store'),
    networkId: genesis.networkId,
    onTornTail: (tail) => logger.warn({ tail }, 'the log ended in the middle of a write and was cut there'),
    onFailure: (error) => die(logger, error),
  });
  closing.add(() => store.close());
  if (options.keystore !== undefined) await refuseToValidate(store);
  if (checkpoint && (await beginAt(store, checkpoint))) {
    logger.info({ height: checkpoint.block.header.height }, 'the data folder begins at the checkpoint');
  }
  const admission = createAdmission({
    logger,
    metrics,
    ...(options.admissionThreads === undefined ? {} : { threads: options.admissionThreads }),
  });
  closing.add(() => admission.close());

  const validatorSets = await openValidatorSets(genesis, options.validatorSchedule, logger);
  closing.add(async () => validatorSets.stop());
  const sequencer = await Sequencer.open({
    genesis,
    validatorSets,
    placeIn,
    nodeKey,
    store,
    admission,
    logger,
    metrics: sequencerMetrics,
    now: Date.now,
    batchBytes: options.batchBytes,
    batchAgeMs: options.batchAgeMs,
    heartbeatMs: options.heartbeatMs,
    blockIntervalMs: options.blockIntervalMs,
    gossipTakeoverMs: options.gossipTakeoverMs,
    keepBodies: options.keepBodies,
    onFailure: (error) => die(logger, error),
    ...(replacements.createScheme && { createScheme: replacements.createScheme }),
  });
  checkIsValidator(options, identity, validatorSets, sequencer.validatorSet);
  const feed = createFeed({
    source: store,
    self: () => sequencer.self,
    handOvers: sequencer.handOvers,
    rollupIds: genesis.file.rollups.map(({ rollupId }) => rollupId),
    logger,
    metrics,
  });
  const realNetwork = await createNetwork({
    nodeKeySeed: nodeKey.secretKey,
    networkId: genesis.networkId,
    ...sequencer.networkSet,
    listen: options.listen,
    bootstrap: options.bootstrap,
    mdns: options.mdns,
    handlers: replacements.handlers?.(sequencer.handlers) ?? sequencer.handlers,
    logger,
  });
  const network = replacements.network?.(realNetwork, identity) ?? realNetwork;
  createNetworkMetrics(metrics, network);
  const l1Follower = createL1Follower(genesis.file.l1, {
    urls: options.l1Rpc,
    anchor: () => sequencer.core.l1Anchor,
    onBlocks: (blocks) => sequencer.seeL1(blocks),
    metrics,
    logger,
  });
  const api = createSequencerApi({
    genesis,
    validatorSets,
    sequencer,
    store,
    feed,
    network,
    version: SEQUENCER_VERSION,
  });

  const monitor = await createMonitorServer({
    host: options.metricsHost,
    port: options.metricsPort,
    metrics,
    readiness: () => {
      const reasons = sequencer.notReadyReasons();
      return { ready: reasons.length === 0, reasons };
    },
    version: SEQUENCER_VERSION,
  });
  closing.add(() => monitor.close());
  // Last opened, first closed: no new transactions, then the turns under way, then the peers.
  closing.add(() => network.stop());
  closing.add(() => feed.stop());
  closing.add(() => sequencer.stop());
  const rate = options.rpcRatePerSecond;
  const rpc = await createRpcServer({
    host: options.rpcHost,
    port: options.rpcPort,
    info,
    methods: sequencerMethods(api),
    subscriptions: sequencerSubscriptions(api),
    paths: SEQUENCER_RPC_PATHS,
    logger,
    metrics,
    ...(rate > 0 ? { ratePerAddress: { perSecond: rate, burst: 2 * rate } } : {}),
  });
  closing.add(() => rpc.close());

  await sequencer.start(network, feed);
  await network.start();
  l1Follower?.start();
  closing.add(async () => l1Follower?.stop());
  closing.add(startNotifier(options, api, network));
  logger.info(
    {
      networkId: toHex(genesis.networkId),
      epoch: sequencer.epoch,
      validator: sequencer.self,
      addresses: network.addresses,
    },
    'sequencer started',
  );
  return { rpcUrl: rpc.url, metricsUrl: monitor.url, addresses: network.addresses, stop: () => closing.close() };
}

async function checkpointOf({ checkpoint, keystore }: SequencerOptions, genesis: Genesis) {
  if (checkpoint === undefined) return undefined;
  if (keystore === undefined) return readCheckpoint(checkpoint, genesis);
  throw new SquadError(
    'CHECKPOINT_OF_VALIDATOR',
    'a checkpoint was given to a validator, which has to hold the whole chain',
    'Leave --checkpoint out, or --keystore to follow without voting.',
  );
}

/** The line for people; returns what ends it. */
function startNotifier({ name, statusSeconds }: SequencerOptions, api: SequencerApi, network: Network): () => void {
  if (statusSeconds === 0) return () => {};
  const notifier = createNotifier({
    name,
    intervalMs: statusSeconds * 1_000,
    read: () => {
      const { view, soft, final, finalLagMs, transactions } = api.status();
      return {
        view,
        soft: soft.height,
        final: final.height,
        'final lag': `${(finalLagMs / 1_000).toFixed(2)} s`,
        peers: network.peerCount,
        transactions,
      };
    },
  });
  return () => notifier.stop();
}

/** Nothing can be promised any more (R20): stop at once rather than say what may not be true after a crash. */
function die(logger: Logger, error: unknown): void {
  logger.fatal({ err: error }, 'the node cannot go on and stops');
  process.stderr.write(`the node cannot go on and stops: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
  setImmediate(() => process.exit(1));
}
