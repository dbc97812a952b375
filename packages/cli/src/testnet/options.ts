/** The options of `squad testnet`. */

import { BlockTimeMs, DEFAULT_BLOCK_TIME_MS } from '@squad/rollup-node/options';
import { defineOptions, LogLevel, type OptionValues } from '@squad/service';
import {
  DEFAULT_PORT_BASES,
  MAX_TESTNET_ROLLUPS,
  MAX_TESTNET_SEQUENCERS,
  MIN_TESTNET_SEQUENCERS,
} from '@squad/testnet';
import { z } from 'zod';

const port = z.int().min(0).max(65_535);

export const testnetOptions = defineOptions({
  nodes: {
    type: z.int().optional(),
    env: 'SQUAD_TESTNET_NODES',
    flag: '--nodes',
    help: `sequencers: 1, or ${MIN_TESTNET_SEQUENCERS} to ${MAX_TESTNET_SEQUENCERS}; default: as the folder has, or ${MIN_TESTNET_SEQUENCERS}`,
  },
  rollups: {
    type: z.int().optional(),
    env: 'SQUAD_TESTNET_ROLLUPS',
    flag: '--rollups',
    help: `rollups, each with a node, chain ids 901, 902, …: 1 to ${MAX_TESTNET_ROLLUPS}; default: as the folder has, or 1`,
  },
  opaqueRollups: {
    type: z.int().min(0).max(MAX_TESTNET_ROLLUPS).optional(),
    env: 'SQUAD_TESTNET_OPAQUE_ROLLUPS',
    flag: '--opaque-rollups',
    help: 'opaque rollups beside them, with the next ids, for nodes with rules of your own; default: as the folder has, or 0',
  },
  blockTimeMs: {
    type: BlockTimeMs.optional(),
    env: 'SQUAD_TESTNET_BLOCK_TIME_MS',
    flag: '--block-time',
    help: `block time of the rollups in ms; default: as the folder has, or ${DEFAULT_BLOCK_TIME_MS}`,
  },
  l1Rpc: {
    type: z.url({ protocol: /^https?$/ }).optional(),
    env: 'SQUAD_TESTNET_L1_RPC',
    flag: '--l1-rpc',
    help: 'JSON-RPC address of an L1, such as geth --dev or anvil: a new testnet follows it, and its blocks have anchors there',
  },
  directory: {
    type: z.string().min(1),
    default: '.squad',
    env: 'SQUAD_TESTNET_DIR',
    flag: '--dir',
    help: 'folder for everything that the testnet writes',
  },
  reset: {
    type: z.boolean(),
    default: false,
    env: 'SQUAD_TESTNET_RESET',
    flag: '--reset',
    help: 'delete the testnet in the folder and begin anew',
  },
  freePorts: {
    type: z.boolean(),
    default: false,
    env: 'SQUAD_TESTNET_FREE_PORTS',
    flag: '--free-ports',
    help: 'take any free ports in place of the ranges below',
  },
  rpcPortBase: {
    type: port,
    default: DEFAULT_PORT_BASES.rollupRpc,
    env: 'SQUAD_TESTNET_RPC_PORT_BASE',
    flag: '--rpc-port-base',
    help: 'first port of the rollups’ JSON-RPC; 0: any free ones',
  },
  sequencerRpcPortBase: {
    type: port,
    default: DEFAULT_PORT_BASES.sequencerRpc,
    env: 'SQUAD_TESTNET_SEQUENCER_RPC_PORT_BASE',
    flag: '--sequencer-rpc-port-base',
    help: 'first port of the sequencers’ JSON-RPC; 0: any free ones',
  },
  p2pPortBase: {
    type: port,
    default: DEFAULT_PORT_BASES.sequencerP2p,
    env: 'SQUAD_TESTNET_P2P_PORT_BASE',
    flag: '--p2p-port-base',
    help: 'first port of the sequencers’ p2p; 0: any free ones',
  },
  metricsPortBase: {
    type: port,
    default: DEFAULT_PORT_BASES.metrics,
    env: 'SQUAD_TESTNET_METRICS_PORT_BASE',
    flag: '--metrics-port-base',
    help: 'first port of metrics and health; 0: any free ones',
  },
  logLevel: {
    type: LogLevel,
    default: 'info',
    env: 'SQUAD_TESTNET_LOG_LEVEL',
    flag: '--log-level',
    help: 'how much the processes write into their logs',
  },
});

export type TestnetCommandOptions = OptionValues<typeof testnetOptions>;
