/** Every option of `squad sequencer`, in one table. Loads nothing heavy: the command line reads it for its help. */

import { DEFAULT_CONSENSUS_OPTIONS } from '@squad/consensus';
import { defineOptions, LogLevel, type OptionValues } from '@squad/service';
import { z } from 'zod';
import { MAX_ADMISSION_THREADS } from './admission/limits.ts';

/**
 * Final blocks of which a node keeps the bodies, at least: far above what the others need of it to catch up and vote
 * (`MAX_BODY_LAG_BLOCKS`), above what is replayed after a crash, and minutes for a rollup node that starts again.
 */
export const MIN_KEPT_BODIES_BLOCKS = 4_096;

/** L1 endpoints of one node. */
export const MAX_L1_ENDPOINTS = 8;

const port = z.int().min(0).max(65_535);

export const sequencerOptions = defineOptions({
  name: {
    type: z.string().min(1).max(64),
    default: 'sequencer',
    env: 'SQUAD_NAME',
    flag: '--name',
    help: 'name in logs and status',
  },
  genesis: {
    type: z.string().min(1),
    env: 'SQUAD_GENESIS',
    flag: '--genesis',
    help: 'path of the network’s genesis file',
  },
  dataDirectory: {
    type: z.string().min(1),
    env: 'SQUAD_DATA_DIRECTORY',
    flag: '--data-directory',
    help: 'folder for the node’s data; made if absent',
  },
  keystore: {
    type: z.string().min(1).optional(),
    env: 'SQUAD_KEYSTORE',
    flag: '--keystore',
    help: 'path of the EIP-2335 keystore with the BLS key; without it the node follows and does not vote',
  },
  keystorePasswordFile: {
    type: z.string().min(1).optional(),
    env: 'SQUAD_KEYSTORE_PASSWORD_FILE',
    flag: '--keystore-password-file',
    help: 'path of a file with the keystore’s password',
  },
  nextKeystore: {
    type: z.string().min(1).optional(),
    env: 'SQUAD_NEXT_KEYSTORE',
    flag: '--next-keystore',
    help: 'path of the keystore with the BLS key that replaces that of --keystore in a later epoch; the password is the same',
  },
  validatorSchedule: {
    type: z.string().min(1).optional(),
    env: 'SQUAD_VALIDATOR_SCHEDULE',
    flag: '--validator-schedule',
    help: 'path of a file with the validator sets of later epochs, on which the validators agreed; read again when it changes',
  },
  checkpoint: {
    type: z.string().min(1).optional(),
    env: 'SQUAD_CHECKPOINT',
    flag: '--checkpoint',
    help: 'path of a checkpoint (`squad checkpoint`) to begin at instead of genesis; not for validators',
  },
  keepBodies: {
    type: z.int().min(MIN_KEPT_BODIES_BLOCKS).optional(),
    env: 'SQUAD_KEEP_BODIES',
    flag: '--keep-bodies',
    help: `final blocks whose transactions are kept on disk, at least ${MIN_KEPT_BODIES_BLOCKS}; older ones are pruned. By default all are kept`,
  },
  l1Rpc: {
    type: z.array(z.url({ protocol: /^https?$/ })).max(MAX_L1_ENDPOINTS),
    default: [],
    env: 'SQUAD_L1_RPC',
    flag: '--l1-rpc',
    help: 'JSON-RPC address of an own node of the L1 that the genesis file names; may be repeated: the next one is asked when one fails',
  },
  nodeKey: {
    type: z.string().min(1),
    env: 'SQUAD_NODE_KEY',
    flag: '--node-key',
    help: 'path of the node key (Ed25519)',
  },
  listen: {
    type: z.array(z.string()).max(8),
    default: ['/ip4/0.0.0.0/tcp/9640'],
    env: 'SQUAD_LISTEN',
    flag: '--listen',
    help: 'libp2p addresses to listen on',
  },
  bootstrap: {
    type: z.array(z.string()).max(64),
    default: [],
    env: 'SQUAD_BOOTSTRAP',
    flag: '--bootstrap',
    help: 'libp2p addresses of peers to join by, with /p2p',
  },
  mdns: { type: z.boolean(), default: false, env: 'SQUAD_MDNS', flag: '--mdns', help: 'find peers on the same link' },
  rpcHost: {
    type: z.string(),
    default: '127.0.0.1',
    env: 'SQUAD_RPC_HOST',
    flag: '--rpc-host',
    help: 'address of JSON-RPC (HTTP and WebSocket)',
  },
  rpcPort: {
    type: port,
    default: 8640,
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
  metricsHost: {
    type: z.string(),
    default: '127.0.0.1',
    env: 'SQUAD_METRICS_HOST',
    flag: '--metrics-host',
    help: 'address of metrics and health',
  },
  metricsPort: {
    type: port,
    default: 9641,
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
  batchBytes: {
    type: z
      .int()
      .min(1024)
      .max(512 * 1024),
    default: 128 * 1024,
    env: 'SQUAD_BATCH_BYTES',
    flag: '--batch-bytes',
    help: 'body size at which a batch is sealed',
  },
  batchAgeMs: {
    type: z.int().min(0).max(1000),
    default: 20,
    env: 'SQUAD_BATCH_AGE_MS',
    flag: '--batch-age-ms',
    help: 'age in ms at which a batch is sealed',
  },
  heartbeatMs: {
    type: z.int().min(100).max(60_000),
    default: 1_000,
    env: 'SQUAD_HEARTBEAT_MS',
    flag: '--heartbeat-ms',
    help: 'how long a leader with nothing to order waits before an empty block; like the other validators’',
  },
  blockIntervalMs: {
    type: z.int().min(0).max(DEFAULT_CONSENSUS_OPTIONS.minDelayMs),
    default: 60,
    env: 'SQUAD_BLOCK_INTERVAL_MS',
    flag: '--block-interval-ms',
    help: 'the most that a leader lets gather between two blocks, in ms; less where votes are quick, nothing when it was idle',
  },
  gossipTakeoverMs: {
    type: z.int().min(100).max(60_000),
    default: 2_000,
    env: 'SQUAD_GOSSIP_TAKEOVER_MS',
    flag: '--gossip-takeover-ms',
    help: 'age at which a gossiped transaction of another home validator is taken into this lane',
  },
  admissionThreads: {
    type: z.int().min(0).max(MAX_ADMISSION_THREADS).optional(),
    env: 'SQUAD_ADMISSION_THREADS',
    flag: '--admission-threads',
    help: `threads that check EVM signatures, up to ${MAX_ADMISSION_THREADS}; by default one less than there are cores`,
  },
});

export type SequencerOptions = OptionValues<typeof sequencerOptions>;
