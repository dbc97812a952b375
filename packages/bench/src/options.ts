/** The options of `npm run bench`. */

import { defineOptions, type OptionValues } from '@squad/service';
import { z } from 'zod';

const Rate = z
  .string()
  .regex(/^(max|sweep|[1-9]\d*)$/, { error: 'expected max, sweep or transactions a second' })
  .describe('max, sweep or a number');

export const benchOptions = defineOptions({
  nodes: {
    type: z.int().min(1).max(16),
    default: 4,
    env: 'SQUAD_BENCH_NODES',
    flag: '--nodes',
    help: 'validators: 1, or 4 to 16',
  },
  workload: {
    type: z.enum(['opaque', 'evm']),
    default: 'opaque',
    env: 'SQUAD_BENCH_WORKLOAD',
    flag: '--workload',
    help: 'opaque: bytes that are only ordered; evm: signed transfers, executed by a rollup node',
  },
  transactionBytes: {
    type: z.int().min(16).max(65_536),
    default: 256,
    env: 'SQUAD_BENCH_TX_SIZE',
    flag: '--tx-size',
    help: 'bytes of an opaque transaction',
  },
  duration: {
    type: z.number().min(1).max(86_400),
    default: 30,
    env: 'SQUAD_BENCH_DURATION',
    flag: '--duration',
    help: 'seconds that are measured',
  },
  warmup: {
    type: z.number().min(0).max(600),
    default: 5,
    env: 'SQUAD_BENCH_WARMUP',
    flag: '--warmup',
    help: 'seconds of load before them',
  },
  rate: {
    type: Rate,
    default: 'max',
    env: 'SQUAD_BENCH_RATE',
    flag: '--rate',
    help: 'transactions a second, open-loop; max: as many as are taken; sweep: max, then shares of it',
  },
  perRequest: {
    type: z.int().min(1).max(1_000),
    default: 200,
    env: 'SQUAD_BENCH_PER_REQUEST',
    flag: '--per-request',
    help: 'transactions in one squad_sendTransactions; fewer where the rate is low',
  },
  clients: {
    type: z.int().min(1).max(64),
    default: 2,
    env: 'SQUAD_BENCH_CLIENTS',
    flag: '--clients',
    help: 'load processes',
  },
  connections: {
    type: z.int().min(1).max(256),
    default: 8,
    env: 'SQUAD_BENCH_CONNECTIONS',
    flag: '--connections',
    help: 'HTTP connections of a client to each of its nodes',
  },
  window: {
    type: z.int().min(1),
    default: 32_768,
    env: 'SQUAD_BENCH_WINDOW',
    flag: '--window',
    help: 'with --rate max: transactions on their way, not final yet, of all clients',
  },
  seed: {
    type: z.int().min(0).max(0xffff_ffff),
    default: 1,
    env: 'SQUAD_BENCH_SEED',
    flag: '--seed',
    help: 'what the transactions are made from',
  },
  cpuProfile: {
    type: z.string().min(1).optional(),
    env: 'SQUAD_BENCH_CPU_PROF',
    flag: '--cpu-prof',
    help: 'profile this node, such as sequencer-0, while it is measured; the profile is kept in the folder',
  },
  directory: {
    type: z.string().min(1),
    default: '.squad-bench',
    env: 'SQUAD_BENCH_DIR',
    flag: '--dir',
    help: 'folder for results, profiles and the data of nodes',
  },
});

export type BenchOptions = OptionValues<typeof benchOptions>;
