/**
 * The composition root of a rollup node: files, rollup, network, follower, servers. Everything is wired here and nowhere
 * else; it is closed in the opposite order.
 */

import { createVerifier } from '@squad/client';
import { sha256 } from '@squad/crypto/node';
import { createEdgeNetwork, type EdgeNetwork, type EdgeNetworkConfig, type NetworkValidator } from '@squad/network';
import {
  Closing,
  createLogger,
  createMonitorServer,
  createNotifier,
  createPrometheusMetrics,
  createRpcServer,
  type Logger,
  type Metrics,
  type PrometheusMetrics,
  type RpcMethod,
  type RpcSubscription,
} from '@squad/service';
import {
  blockHash,
  type Genesis,
  genesisBlock,
  type Hex,
  SquadError,
  toHex,
  type ValidatorSet,
  validatorsByNodeKey,
} from '@squad/types';
import type { RollupFile } from './config/rollup-file.ts';
import { openRollup, type Rollup } from './derivation/open.ts';
import type { EngineDriver } from './engine/driver.ts';
import { driveEngine } from './engine/node.ts';
import { type CustomRollup, loadCustomRollup } from './execution/custom.ts';
import { EvmExecutor } from './execution/evm/executor.ts';
import { EvmHistory } from './execution/evm/history.ts';
import type { KeyValueExecutor } from './execution/key-value/executor.ts';
import { OrderedExecutor } from './execution/ordered.ts';
import { type NodeFiles, readFiles } from './files.ts';
import {
  createFollower,
  DEFAULT_FOLLOWER_OPTIONS,
  Epochs,
  type Follower,
  type FollowerConfig,
  provenSetFiles,
} from './follow/index.ts';
import { checkRollupNodeOptions, type RollupNodeOptions } from './options.ts';
import { customMethods } from './rpc/custom-methods.ts';
import { createEthApi } from './rpc/eth-methods.ts';
import { ledgerMethods } from './rpc/ledger-methods.ts';
import { clientOpBlocks } from './rpc/op-client-blocks.ts';
import { opMethods } from './rpc/op-methods.ts';
import { orderedMethods } from './rpc/ordered-methods.ts';
import type { RollupRpcPorts } from './rpc/ports.ts';
import { startNitroFeed } from './stacks/nitro/node.ts';
import { OpExecutor } from './stacks/op/executor.ts';
import { L1Chain } from './stacks/op/l1-chain.ts';
import { type RollupGenesis, readOpRollupConfig } from './stacks/op/rollup-config.ts';
import { MeasuredDerivation, type NodeState, openFeeds, readiness, statusFields, statusMethod } from './status.ts';
import { createGossipSubmitter } from './submit/gossip-submitter.ts';
import { createRpcSubmitter } from './submit/rpc-submitter.ts';
import { readVersion } from './version.ts';

export interface RollupNode {
  readonly rpcUrl: string;
  /** Metrics and health. */
  readonly monitorUrl: string;
  /** Of the Nitro feed, if there is one. */
  readonly nitroFeedUrl: string | undefined;
  readonly follower: Follower;
  readonly rollup: Rollup;
  stop(): Promise<void>;
}

/** What tests, and processes that hold more than this node, put in place of the defaults. */
export interface RollupNodeParts {
  readonly createNetwork?: (config: EdgeNetworkConfig) => Promise<EdgeNetwork>;
  /** Rules of a team's own, in place of the module that the option `executor` names. */
  readonly custom?: CustomRollup;
  readonly logger?: Logger;
  readonly onRefused?: FollowerConfig['onRefused'];
  /** Derivation failed: the node follows no longer. Default: the error is thrown, and ends the process. */
  readonly onFailed?: (error: unknown) => void;
}

/** Starts a node, and resolves when it serves. Throws a SquadError that says what is wrong with files, ports or data. */
export async function createRollupNode(options: RollupNodeOptions, parts: RollupNodeParts = {}): Promise<RollupNode> {
  const fault = checkRollupNodeOptions(options);
  if (fault !== undefined) {
    throw new SquadError('OPTIONS_INCONSISTENT', fault, 'Change one of the options that it names.');
  }
  const closing = new Closing();
  try {
    return { ...(await assemble(options, parts, closing)), stop: () => closing.close() };
  } catch (error) {
    await closing.close().catch(() => {});
    throw error;
  }
}

async function assemble(
  options: RollupNodeOptions,
  parts: RollupNodeParts,
  closing: Closing,
): Promise<Omit<RollupNode, 'stop'>> {
  const logger = parts.logger ?? createLogger({ name: options.name, level: options.logLevel });
  const metrics = createPrometheusMetrics();
  const files = await readFiles(options);
  const { genesis } = files;
  const custom =
    parts.custom ?? (options.executor === undefined ? undefined : await loadCustomRollup(options.executor));
  const l1 = l1Of(options, files, logger, metrics);
  const rollup = await openRollup(files.rollup, files.rollupDirectory, custom, l1);
  closing.add(() => rollup.derivation.close());

  const epochs = await Epochs.open(
    {
      networkId: genesis.networkId,
      epochLengthBlocks: genesis.file.epochLengthBlocks,
      first: genesis.validatorSet,
      sets: provenSetFiles(options.dataDirectory),
    },
    (rollup.executor.cursor?.height ?? 0) + 1,
  );
  const networkValidators = addressedBy(files);
  const network = await (parts.createNetwork ?? createEdgeNetwork)({
    nodeKeySeed: files.nodeKey.secretKey,
    networkId: genesis.networkId,
    validators: networkValidators(epochs.validatorSet),
    listen: options.listen,
    bootstrap: options.bootstrap,
    mdns: options.mdns,
    logger: logger.child({ part: 'network' }),
  });
  closing.add(() => network.stop());
  await network.start();

  const measured = new MeasuredDerivation(rollup.derivation);
  const follower = followerOf(options, parts, {
    genesis,
    rollup,
    epochs,
    network,
    networkValidators,
    measured,
    logger,
    metrics,
  });
  closing.add(async () => {
    const stopped = follower.stop();
    // It may be waiting for L1.
    l1?.stop();
    await stopped;
  });

  const engine = await driveEngine(options, rollup, parts.onFailed ?? endProcess, logger, metrics);
  if (engine !== undefined) closing.add(() => engine.stop());

  const state: NodeState = { follower, measured, derivation: rollup.derivation, executor: rollup.executor, engine, l1 };
  measure(metrics, rollup);
  const monitor = await monitorOf(options, metrics, state);
  closing.add(() => monitor.close());
  const submit = submitterOf(options, rollup.file.rollupId, network, logger);
  const api = await apiOf(options, rollup, custom, portsOf(state, submit), engine);
  closing.add(() => api.close());
  const methods = [...api.methods, statusMethod(state, { name: options.name, rollupId: rollup.file.rollupId })];
  const rpc = await rpcOf(options, methods, api.subscriptions, logger, metrics);
  closing.add(() => rpc.close());

  const nitroFeedUrl = await startNitroFeed(options, rollup, logger, metrics, closing);

  follower.start();
  engine?.start();
  startNotifier(options, state, closing);
  logger.info(
    {
      rpcUrl: rpc.url,
      monitorUrl: monitor.url,
      nitroFeedUrl,
      rollupId: rollup.file.rollupId,
      height: follower.head.height,
    },
    'rollup node serves',
  );
  return { rpcUrl: rpc.url, monitorUrl: monitor.url, nitroFeedUrl, follower, rollup };
}

/** Undefined for a rollup that follows no L1. */
function l1Of({ l1Rpc: urls }: RollupNodeOptions, { rollup }: NodeFiles, logger: Logger, metrics: Metrics) {
  const l1 = rollup.op?.l1;
  if (l1 === undefined && urls.length > 0) {
    const message = `l1Rpc names an L1 endpoint, and the rollup file of "${rollup.name}" has no op.l1: it follows no L1`;
    throw new SquadError('L1_NOT_FOLLOWED', message, 'Leave the option out, or use a rollup file that follows L1.');
  }
  if (l1 === undefined || urls.length === 0) return undefined;
  return new L1Chain({ urls, l1, logger: logger.child({ part: 'l1' }), metrics });
}

interface Wiring {
  readonly genesis: Genesis;
  readonly rollup: Rollup;
  readonly epochs: Epochs;
  readonly network: EdgeNetwork;
  readonly networkValidators: (set: ValidatorSet) => NetworkValidator[];
  readonly measured: MeasuredDerivation;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Goes on after the last sequencer block that the stored rollup blocks contain. */
function followerOf(options: RollupNodeOptions, parts: RollupNodeParts, wiring: Wiring): Follower {
  const { genesis, rollup, epochs, network, networkValidators, measured, logger, metrics } = wiring;
  const { networkId } = genesis;
  const { rollupId } = rollup.file;
  const { genesisTimeMs, epochLengthBlocks } = genesis.file;
  const start = { height: 0, hash: blockHash(genesisBlock(networkId, genesisTimeMs).header) };
  return createFollower({
    network,
    epochs,
    createVerifier: (validatorSet, scheme) =>
      createVerifier({ networkId, genesisTimeMs, epochLengthBlocks, validatorSet, rollupId, scheme, sha256 }),
    onValidatorSet: (set) => network.changeValidators(networkValidators(set)),
    rollupId,
    start: rollup.executor.cursor ?? start,
    derivation: measured,
    options: { ...DEFAULT_FOLLOWER_OPTIONS, maxFeeds: options.maxFeeds },
    logger: logger.child({ part: 'follow' }),
    metrics,
    onRefused: parts.onRefused ?? (() => {}),
    onFailed: parts.onFailed ?? endProcess,
  });
}

/** A set as the network has to know it: files tell addresses, of validators of whichever epoch. */
function addressedBy({ genesis: { file }, validatorSchedule }: NodeFiles): (set: ValidatorSet) => NetworkValidator[] {
  const later = [...(file.validatorSchedule ?? []), ...validatorSchedule].map(({ validators }) => validators);
  const known = validatorsByNodeKey(file.validators, ...later);
  return ({ validators }) =>
    validators.map(({ nodePublicKey }) => ({
      nodePublicKey,
      addresses: known.get(toHex(nodePublicKey))?.addresses ?? [],
    }));
}

/** What was derived can no longer be vouched for; whoever runs the process restarts it, and the store is as of a commit. */
function endProcess(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}

function submitterOf(
  { submit, sequencerRpc }: RollupNodeOptions,
  rollupId: number,
  network: EdgeNetwork,
  logger: Logger,
): (raw: Uint8Array) => Promise<Hex> {
  const way = submit ?? (sequencerRpc.length > 0 ? 'rpc' : 'gossip');
  if (way === 'gossip') return createGossipSubmitter(network, rollupId);
  return createRpcSubmitter({ urls: sequencerRpc, rollupId, logger: logger.child({ part: 'submit' }) });
}

function portsOf(state: NodeState, submit: RollupRpcPorts['submit']): RollupRpcPorts {
  const startingBlock = state.executor.latest.number;
  return {
    submit,
    syncing: () => {
      if (readiness(state).ready) return false;
      // How many rollup blocks are still to come shows only when they are derived.
      const currentBlock = state.executor.latest.number;
      return { startingBlock, currentBlock, highestBlock: state.executor.head.number };
    },
    peerCount: () => openFeeds(state),
    clientVersion: `squad/${readVersion()}/rollup-node`,
  };
}

interface RollupApi {
  readonly methods: readonly RpcMethod[];
  readonly subscriptions: readonly RpcSubscription[];
  close(): void;
}

async function apiOf(
  { opRollupConfig: path }: RollupNodeOptions,
  { executor, events, skipped, file }: Rollup,
  custom: CustomRollup | undefined,
  ports: RollupRpcPorts,
  engine: EngineDriver | undefined,
): Promise<RollupApi> {
  if (executor instanceof EvmExecutor) {
    const opRollupConfig = path === undefined ? undefined : await readOpRollupConfig(path, genesisOf(executor));
    return createEthApi({ executor, events, skipped }, ports, opRollupConfig);
  }
  const isOp = executor instanceof OpExecutor && engine !== undefined;
  if (path !== undefined && !isOp) {
    throw new SquadError(
      'OP_NEEDS_EVM',
      `opRollupConfig is given, and the rollup "${file.name}" is executed neither by this node nor by an OP Stack client that it drives: it has no output roots`,
      'Leave the option out, or use a rollup file with executor "evm", or "op" and --engine.',
    );
  }
  const opMethodsOfClient =
    path !== undefined && isOp
      ? opMethods(
          clientOpBlocks(executor, engine),
          await readOpRollupConfig(path, opGenesisOf(file)),
          ports.clientVersion,
        )
      : [];
  const methods =
    executor instanceof OrderedExecutor
      ? [...orderedMethods({ executor, skipped }, ports), ...opMethodsOfClient]
      : custom === undefined
        ? ledgerMethods({ executor: executor as KeyValueExecutor, skipped }, ports)
        : customMethods({ executor, skipped }, custom, ports);
  return { methods, subscriptions: [], close: () => {} };
}

function opGenesisOf({ rollupId, genesisTimeMs, op }: RollupFile): RollupGenesis {
  const hash = op!.genesisHash.toLowerCase() as Hex;
  return { chainId: rollupId, hash, timestampSeconds: Math.floor(genesisTimeMs / 1000), op };
}

function genesisOf(executor: EvmExecutor): RollupGenesis {
  const { summary } = new EvmHistory(executor).blockAt(0)!;
  const { hash, timestampSeconds } = summary;
  return { chainId: executor.file.rollupId, hash: toHex(hash), timestampSeconds };
}

function rpcOf(
  options: RollupNodeOptions,
  methods: readonly RpcMethod[],
  subscriptions: readonly RpcSubscription[],
  logger: Logger,
  metrics: Metrics,
) {
  const { rpcHost, rpcPort, rpcRatePerSecond: perSecond } = options;
  return createRpcServer({
    host: rpcHost,
    port: rpcPort,
    info: { title: 'SQUAD rollup node', version: readVersion() },
    methods,
    subscriptions,
    logger: logger.child({ part: 'rpc' }),
    metrics,
    ...(perSecond === 0 ? {} : { ratePerAddress: { perSecond, burst: 2 * perSecond } }),
  });
}

function monitorOf({ metricsHost, metricsPort }: RollupNodeOptions, metrics: PrometheusMetrics, state: NodeState) {
  return createMonitorServer({
    host: metricsHost,
    port: metricsPort,
    metrics,
    readiness: () => readiness(state),
    version: readVersion(),
  });
}

function measure(metrics: Metrics, { executor, skipped }: Rollup): void {
  metrics.gauge({
    name: 'squad_rollup_latest_number',
    help: 'Newest rollup block whose order is final',
    read: () => executor.latest.number,
  });
  metrics.gauge({
    name: 'squad_rollup_skipped_transactions',
    help: "Transactions that were ordered and that the rollup's rules rejected, since the start",
    read: () => skipped.total,
  });
  if (!(executor instanceof OpExecutor)) return;
  metrics.gauge({
    name: 'squad_rollup_l1_origin_number',
    help: 'L1 origin of the newest rollup block',
    read: () => executor.l1OriginNumber,
  });
}

function startNotifier({ name, statusSeconds }: RollupNodeOptions, state: NodeState, closing: Closing): void {
  if (statusSeconds === 0) return;
  const notifier = createNotifier({ name, intervalMs: statusSeconds * 1000, read: () => statusFields(state) });
  closing.add(() => notifier.stop());
}
