/** Every option of `squad rollup-node`, in one table. Loads nothing heavy: the command line reads it for its help. */

import { defineOptions, LogLevel, type OptionValues } from '@squad/service';
import { z } from 'zod';
import { BlockTimeMs } from './config/block-time.ts';
import { MAX_L1_ENDPOINTS } from './stacks/op/limits.ts';

export { BlockTimeMs, DEFAULT_BLOCK_TIME_MS } from './config/block-time.ts';

const port = z.int().min(0).max(65_535);
const path = z.string().min(1);

export const rollupNodeOptions = defineOptions({
  name: {
    type: z.string().min(1).max(64),
    default: 'rollup-node',
    env: 'SQUAD_NAME',
    flag: '--name',
    help: 'name in logs and status',
  },
  genesis: { type: path, env: 'SQUAD_GENESIS', flag: '--genesis', help: "path of the network's genesis file" },
  rollup: { type: path, env: 'SQUAD_ROLLUP', flag: '--rollup', help: "path of the rollup's genesis file" },
  executor: {
    type: path.optional(),
    env: 'SQUAD_EXECUTOR',
    flag: '--executor',
    help: 'path of the module with the rules of a rollup whose file says "executor": "custom"',
  },
  blockTimeMs: {
    type: BlockTimeMs.optional(),
    env: 'SQUAD_BLOCK_TIME_MS',
    flag: '--block-time',
    help: 'block time of the rollup in ms; by default as the rollup file says. The same on all its nodes',
  },
  dataDirectory: {
    type: path,
    env: 'SQUAD_DATA_DIRECTORY',
    flag: '--data-directory',
    help: "folder for the node's data; made if absent",
  },
  nodeKey: {
    type: path.optional(),
    env: 'SQUAD_NODE_KEY',
    flag: '--node-key',
    help: 'path of the node key (Ed25519); by default one is made in the data directory',
  },
  listen: {
    type: z.array(z.string()).max(8),
    default: [],
    env: 'SQUAD_LISTEN',
    flag: '--listen',
    help: 'libp2p addresses to listen on; by default the node only dials',
  },
  bootstrap: {
    type: z.array(z.string()).max(64),
    default: [],
    env: 'SQUAD_BOOTSTRAP',
    flag: '--bootstrap',
    help: 'libp2p addresses of peers to join by, with /p2p, besides the validators of the genesis file',
  },
  mdns: { type: z.boolean(), default: false, env: 'SQUAD_MDNS', flag: '--mdns', help: 'find peers on the same link' },
  validatorSchedule: {
    type: path.optional(),
    env: 'SQUAD_VALIDATOR_SCHEDULE',
    flag: '--validator-schedule',
    help: 'path of a file with the validator sets of later epochs: their addresses are taken from it',
  },
  maxFeeds: {
    type: z.int().min(1).max(256),
    default: 16,
    env: 'SQUAD_MAX_FEEDS',
    flag: '--max-feeds',
    help: 'sequencers to follow at one time',
  },
  submit: {
    type: z.enum(['rpc', 'gossip']).optional(),
    env: 'SQUAD_SUBMIT',
    flag: '--submit',
    help: 'how transactions go to the sequencers; by default rpc if sequencerRpc is given, else gossip',
  },
  sequencerRpc: {
    type: z.array(z.url({ protocol: /^https?$/ })).max(256),
    default: [],
    env: 'SQUAD_SEQUENCER_RPC',
    flag: '--sequencer-rpc',
    help: 'JSON-RPC addresses of sequencers that take transactions, such as http://127.0.0.1:8640; the next one is tried when one fails',
  },
  engine: {
    type: z.url({ protocol: /^https?$/ }).optional(),
    env: 'SQUAD_ENGINE',
    flag: '--engine',
    help: 'Engine API of an execution client to drive along: its authenticated port, such as http://127.0.0.1:8551',
  },
  jwtSecret: {
    type: path.optional(),
    env: 'SQUAD_JWT_SECRET',
    flag: '--jwt-secret',
    help: "path of the file with the Engine API's secret, 32 bytes in hex: the same that the client has",
  },
  engineMode: {
    type: z.enum(['payload', 'attributes']),
    default: 'payload',
    env: 'SQUAD_ENGINE_MODE',
    flag: '--engine-mode',
    help: 'payload: the client executes the blocks of this node and has to agree (geth, reth); attributes: it builds them of forced transactions, as always for a rollup file with executor "op" (op-geth)',
  },
  rpcHost: {
    type: z.string(),
    default: '127.0.0.1',
    env: 'SQUAD_RPC_HOST',
    flag: '--rpc-host',
    help: 'address of JSON-RPC (HTTP and WebSocket)',
  },
  rpcPort: {
    type: port,
    default: 8545,
    env: 'SQUAD_RPC_PORT',
    flag: '--rpc-port',
    help: 'port of JSON-RPC; 0 takes a free one',
  },
  rpcRatePerSecond: {
    type: z.int().min(0),
    default: 0,
    env: 'SQUAD_RPC_RATE_PER_SECOND',
    flag: '--rpc-rate-per-second',
    help: 'JSON-RPC calls a second that one address may make; 0: not limited',
  },
  nitroFeedHost: {
    type: z.string(),
    default: '127.0.0.1',
    env: 'SQUAD_NITRO_FEED_HOST',
    flag: '--nitro-feed-host',
    help: 'address of the Nitro feed',
  },
  nitroFeedPort: {
    type: port.optional(),
    env: 'SQUAD_NITRO_FEED_PORT',
    flag: '--nitro-feed-port',
    help: 'port of a Nitro sequencer feed (WebSocket), for a rollup file with executor "nitro"; 0 takes a free one; by default none',
  },
  nitroFeedKey: {
    type: path.optional(),
    env: 'SQUAD_NITRO_FEED_KEY',
    flag: '--nitro-feed-key',
    help: 'path of the secp256k1 key, in hex, that signs the Nitro feed; by default it is not signed',
  },
  l1Rpc: {
    type: z.array(z.url({ protocol: /^https?$/ })).max(MAX_L1_ENDPOINTS),
    default: [],
    env: 'SQUAD_L1_RPC',
    flag: '--l1-rpc',
    help: 'JSON-RPC address of L1, for a rollup file that follows it (op.l1); may be repeated: the next one is asked when one fails. It is not trusted: all is checked by hash',
  },
  opRollupConfig: {
    type: path.optional(),
    env: 'SQUAD_OP_ROLLUP_CONFIG',
    flag: '--op-rollup-config',
    help: "path of the rollup.json of an OP Stack chain's contracts on L1: optimism_outputAtBlock and its like are served",
  },
  metricsHost: {
    type: z.string(),
    default: '127.0.0.1',
    env: 'SQUAD_METRICS_HOST',
    flag: '--metrics-host',
    help: 'address of metrics and health',
  },
  metricsPort: {
    type: port,
    default: 9642,
    env: 'SQUAD_METRICS_PORT',
    flag: '--metrics-port',
    help: 'port of metrics and health; 0 takes a free one',
  },
  statusSeconds: {
    type: z.int().min(0).max(3600),
    default: 30,
    env: 'SQUAD_STATUS_SECONDS',
    flag: '--status-seconds',
    help: 'seconds between two lines about the node on standard error; 0: none',
  },
  logLevel: {
    type: LogLevel,
    default: 'info',
    env: 'SQUAD_LOG_LEVEL',
    flag: '--log-level',
    help: 'least level that is logged',
  },
});

export type RollupNodeOptions = OptionValues<typeof rollupNodeOptions>;

/** What is wrong with the values together, if anything. */
export function checkRollupNodeOptions(options: RollupNodeOptions): string | undefined {
  const { submit, sequencerRpc, engine, jwtSecret, nitroFeedPort, nitroFeedKey } = options;
  if (submit === 'rpc' && sequencerRpc.length === 0) {
    return 'submit is "rpc", and sequencerRpc names no sequencer to send to';
  }
  if (engine !== undefined && jwtSecret === undefined) {
    return 'engine names an execution client, and jwtSecret names no file with the secret that it wants';
  }
  if (engine === undefined && jwtSecret !== undefined) {
    return 'jwtSecret names a file, and engine no execution client that it is for';
  }
  if (nitroFeedKey !== undefined && nitroFeedPort === undefined) {
    return 'nitroFeedKey is given, and nitroFeedPort is not: there is no feed to sign';
  }
  return undefined;
}
