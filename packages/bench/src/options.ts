/** The options of `npm run bench`. */

import { defineOptions, type OptionValues } from '@squad/service';
import { z } from 'zod';
import type { Fault } from './run/measurement.ts';

const Rate = z.string().regex(/^(max|sweep|[1-9]\d*)$/, { error: 'expected max, sweep or transactions a second' });
const Faults = z.string().regex(/^(none|(crash|dead|flood):[1-5])$/, {
  error: 'expected none, crash:N (killed in the middle), dead:N (dead from the start) or flood:N',
});
const file = z.string().min(1).optional();

export const benchOptions = defineOptions({
  nodes: {
    type: z.int().min(1).max(16),
    default: 4,
    env: 'SQUAD_BENCH_NODES',
    flag: '--nodes',
    help: 'validators: 1, or 4 to 16',
  },
  rate: {
    type: Rate,
    default: 'max',
    env: 'SQUAD_BENCH_RATE',
    flag: '--rate',
    help: 'transactions a second, open-loop; max: as many as are taken; sweep: max, then shares of it',
  },
  workload: {
    type: z.enum(['opaque', 'evm']),
    default: 'opaque',
    env: 'SQUAD_BENCH_WORKLOAD',
    flag: '--workload',
    help: 'opaque: bytes that are only ordered; evm: signed transfers, executed by a rollup node',
  },
  transactionBytes: {
    type: z.int().min(32).max(65_536),
    default: 256,
    env: 'SQUAD_BENCH_TX_SIZE',
    flag: '--tx-size',
    help: 'bytes of an opaque transaction',
  },
  duration: {
    type: z.int().min(1).max(86_400),
    default: 30,
    env: 'SQUAD_BENCH_DURATION',
    flag: '--duration',
    help: 'seconds that are measured in each run',
  },
  warmup: {
    type: z.int().min(0).max(600),
    default: 20,
    env: 'SQUAD_BENCH_WARMUP',
    flag: '--warmup',
    help: 'seconds of load before them, which do not count',
  },
  repetitions: {
    type: z.int().min(1).max(100),
    default: 1,
    env: 'SQUAD_BENCH_REPETITIONS',
    flag: '--repetitions',
    help: 'runs of each system and rate, the systems by turns',
  },
  faults: {
    type: Faults,
    default: 'none',
    env: 'SQUAD_BENCH_FAULTS',
    flag: '--faults',
    help: 'crash:N kills the last N validators in the middle of what is measured, dead:N before the load, and they come back for the check; flood:N has them flood the others, beside a network without',
  },
  latency: {
    type: z.enum(['none', 'wan']),
    default: 'none',
    env: 'SQUAD_BENCH_LATENCY',
    flag: '--latency',
    help: 'wan: a proxy between the validators of SQUAD delays what passes',
  },
  wanDelay: {
    type: z.int().min(1).max(1_000),
    default: 40,
    env: 'SQUAD_BENCH_WAN_DELAY',
    flag: '--wan-delay',
    help: 'with --latency wan: milliseconds one way',
  },
  baseline: {
    type: z.array(z.enum(['none', 'single', 'unsigned', 'cores', 'cometbft', 'ethereum'])),
    default: ['single'],
    env: 'SQUAD_BENCH_BASELINE',
    flag: '--baseline',
    help: 'what is measured beside: single (one validator), unsigned (the same network without signatures of votes, which nobody may run: what they cost), cores (it on fewer cores), cometbft, ethereum (anvil, geth --dev); none',
  },
  perRequest: {
    type: z.int().min(1).max(1_000),
    default: 200,
    env: 'SQUAD_BENCH_PER_REQUEST',
    flag: '--per-request',
    help: 'transactions in one request; fewer where the rate is low',
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
    type: z.int().min(1).optional(),
    env: 'SQUAD_BENCH_WINDOW',
    flag: '--window',
    help: 'with --rate max: transactions of all clients that are on their way, not final yet; by default 32768, or 4096 for evm',
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
    help: 'profile this node, such as sequencer-0 or rollup-901, while it is measured; the profile is kept in --dir',
  },
  json: { type: file, env: 'SQUAD_BENCH_JSON', flag: '--json', help: 'file for the result as JSON' },
  html: { type: file, env: 'SQUAD_BENCH_HTML', flag: '--html', help: 'file for the report, one HTML page' },
  svg: { type: file, env: 'SQUAD_BENCH_SVG', flag: '--svg', help: 'folder for the plots, each an SVG file' },
  directory: {
    type: z.string().min(1),
    default: '.squad-bench',
    env: 'SQUAD_BENCH_DIR',
    flag: '--dir',
    help: 'folder for the last result and for profiles',
  },
});

export type BenchOptions = OptionValues<typeof benchOptions>;

/** What is wrong with the values together, if anything. */
export function checkBenchOptions({ nodes, faults, rate }: BenchOptions): string | undefined {
  if (nodes > 1 && nodes < 4) return `--nodes ${nodes}: 2 and 3 bear no more faults than 1; choose 1, or 4 to 16`;
  const fault = faultOf(faults);
  const borne = Math.floor((nodes - 1) / 3);
  if (fault.kind !== 'none' && fault.count > borne) {
    return `--faults ${faults}: ${nodes} validators bear ${borne}; nothing would become final`;
  }
  if (fault.kind !== 'none' && rate === 'sweep') return '--faults and --rate sweep: choose one rate';
  return undefined;
}

export function faultOf(text: string): Fault {
  const [kind, count] = text.split(':');
  return kind === 'crash' || kind === 'dead' || kind === 'flood' ? { kind, count: Number(count) } : { kind: 'none' };
}
