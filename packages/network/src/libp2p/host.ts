/** The libp2p node under both kinds of network: transport, encryption, multiplexing, limits, gossip. */

import type { GossipSub } from '@chainsafe/libp2p-gossipsub';
import { identify } from '@libp2p/identify';
import type { ComponentLogger, Ed25519PrivateKey, Libp2p, Logger, PeerDiscovery } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { MAX_VALIDATORS, SquadError } from '@squad/types';
import { createLibp2p, type Libp2pOptions } from 'libp2p';
import { type NetworkConfig, type NetworkLogger, SILENT_LOGGER } from '../config.ts';
import { type NetworkLimits, networkLimits } from '../limits.ts';
import { type ProtocolNames, protocolNames } from '../protocols.ts';
import { StatisticsCounter } from '../statistics.ts';
import { nodeKey, parseAddress, ValidatorDirectory } from './directory.ts';
import { PeerGate } from './gate.ts';
import { gossipService } from './gossip.ts';
import { toError } from './streams.ts';
import { nativeTls } from './tls.ts';
import { yamux } from './yamux.ts';

/**
 * Time between probes, in time-outs of one. The ping protocol allows one at a time, and the monitor closes a connection
 * on which it cannot begin the next: an answer has to be late before that.
 */
const PROBE_TIMEOUTS_PER_INTERVAL = 1.2;
const CLOSE_TIMEOUT_MS = 500;

export interface Host {
  readonly libp2p: Libp2p<{ pubsub: GossipSub }>;
  readonly directory: ValidatorDirectory;
  readonly gate: PeerGate;
  readonly names: ProtocolNames;
  readonly limits: NetworkLimits;
  readonly logger: NetworkLogger;
  readonly statistics: StatisticsCounter;
  /** Calls a handler of the owner; what it throws is logged and goes no further. */
  call(handler: string, run: () => void): void;
}

type HostConfig = Omit<NetworkConfig, 'handlers'>;

/** A node that is set up and not started. */
export async function createHost(config: HostConfig, options: { floodPublish: boolean }): Promise<Host> {
  const limits = networkLimits(config.limits);
  const logger = config.logger ?? SILENT_LOGGER;
  const statistics = new StatisticsCounter();
  const names = protocolNames(config.networkId);
  const directory = new ValidatorDirectory(config.validators, config.otherValidators);
  const gate = new PeerGate({ directory, limits, statistics, logger });
  for (const address of config.listen) parseAddress(address, 'listen');
  const privateKey = nodeKey(config.nodeKeySeed, config.self, config.validators);
  const libp2p = await createLibp2p({
    ...libp2pOptions(config, limits, privateKey),
    peerDiscovery: await discovery(config),
    connectionGater: gate.connectionGater,
    services: {
      identify: identify(),
      ping: ping(),
      pubsub: gossipService({ topic: names.transactionsTopic, limits, gate, floodPublish: options.floodPublish }),
    },
  });
  gate.attach(libp2p);
  const call = (handler: string, run: () => void) => {
    try {
      run();
    } catch (error) {
      logger.warn({ handler, error: toError(error).message }, 'network handler failed');
    }
  };
  return { libp2p, directory, gate, names, limits, logger, statistics, call };
}

/** Starts listening. Rejects with `LISTEN_FAILED`. */
export async function startHost(host: Host, listen: readonly string[]): Promise<void> {
  try {
    await host.libp2p.start();
  } catch (cause) {
    await host.libp2p.stop();
    const message = `cannot listen on ${listen.join(', ')}: ${whyNotListening(toError(cause).message)}`;
    throw new SquadError('LISTEN_FAILED', message, 'Free the port, or listen on another one.', { listen }, cause);
  }
}

/** The system's own words. libp2p puts stacks around them, and advice about options that a node does not have. */
function whyNotListening(message: string): string {
  return /\blisten E[A-Z]+\b.*/.exec(message)?.[0] ?? message.split('\n', 1)[0]!;
}

function libp2pOptions(config: HostConfig, limits: NetworkLimits, privateKey: Ed25519PrivateKey): Libp2pOptions {
  const places =
    limits.maxEdgePeers * limits.maxConnectionsPerEdgePeer + MAX_VALIDATORS * limits.maxConnectionsPerValidator;
  return {
    start: false,
    privateKey,
    addresses: { listen: [...config.listen] },
    transports: [tcp({ backlog: 511 })],
    connectionEncrypters: [nativeTls(), noise()],
    streamMuxers: [
      yamux({
        maxInboundStreams: limits.maxStreamsPerConnection,
        maxOutboundStreams: limits.maxStreamsPerConnection,
        maxWindowBytes: limits.maxStreamWindowBytes,
        // A paused stream holds one window at most, plus what is being delivered.
        maxReadBufferBytes: 2 * limits.maxStreamWindowBytes,
        maxUnsentBytes: limits.maxUnsentConnectionBytes,
      }),
    ],
    connectionManager: {
      // Room for connections that are on their way in and are turned away once it is known whose they are.
      maxConnections: places + limits.maxPendingConnections,
      maxIncomingPendingConnections: limits.maxPendingConnections,
      inboundConnectionThreshold: limits.maxNewConnectionsPerSecondPerAddress,
      inboundUpgradeTimeout: limits.handshakeTimeoutMs,
      inboundStreamProtocolNegotiationTimeout: limits.requestTimeoutMs,
      outboundStreamProtocolNegotiationTimeout: limits.requestTimeoutMs,
      dialTimeout: limits.handshakeTimeoutMs,
      connectionCloseTimeout: CLOSE_TIMEOUT_MS,
      reconnectRetries: 0,
    },
    // A machine that vanished is noticed; one that is busy has all of its time, however fast it answered before.
    connectionMonitor: {
      pingInterval: PROBE_TIMEOUTS_PER_INTERVAL * limits.probeTimeoutMs,
      pingTimeout: { minTimeout: limits.probeTimeoutMs, maxTimeout: limits.probeTimeoutMs },
    },
    nodeInfo: { name: 'squad' },
    // Set DEBUG to have libp2p's own logs; without it they cost nothing.
    ...(process.env.DEBUG === undefined ? { logger: SILENT_COMPONENTS } : {}),
  };
}

/** Loaded only where they are asked for: a start without them is faster. */
async function discovery(config: HostConfig): Promise<NonNullable<Libp2pOptions['peerDiscovery']>> {
  const found: ((components: never) => PeerDiscovery)[] = [];
  if (config.bootstrap.length > 0) {
    for (const address of config.bootstrap) parseAddress(address, 'bootstrap');
    const { bootstrap } = await import('@libp2p/bootstrap');
    found.push(bootstrap({ list: [...config.bootstrap], timeout: 0 }));
  }
  if (config.mdns) {
    const { mdns } = await import('@libp2p/mdns');
    found.push(mdns());
  }
  return found as NonNullable<Libp2pOptions['peerDiscovery']>;
}

const silentLogger: Logger = Object.assign(() => {}, {
  error: () => {},
  trace: () => {},
  enabled: false,
  newScope: (): Logger => silentLogger,
});
const SILENT_COMPONENTS: ComponentLogger = { forComponent: () => silentLogger };
