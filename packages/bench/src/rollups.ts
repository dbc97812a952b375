/**
 * `npm run bench:rollups`: many rollups in one set of validators. All but one are light and keep their rate; first they are
 * alone, then the one floods. What the light ones bear is the figure; and each rollup's sequence must hold its own
 * transactions, each once, and nobody else's.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineOptions, type OptionValues } from '@squad/service';
import { startTestnet, type Testnet } from '@squad/testnet';
import { z } from 'zod';
import { nowUs } from './load/clock.ts';
import type { LoadConfig, LoadResult } from './load/protocol.ts';
import type { Latency } from './report/schema.ts';
import { latencyOf } from './report/summarize.ts';
import { LoadFleet } from './run/load-fleet.ts';
import { commonChain } from './systems/chain-check.ts';
import { waitReady } from './systems/ready.ts';
import { readSequence, TransactionCounts } from './systems/squad-sequence-check.ts';

export const rollupsOptions = defineOptions({
  nodes: {
    type: z.int().min(4).max(16),
    default: 4,
    env: 'SQUAD_BENCH_NODES',
    flag: '--nodes',
    help: 'validators',
  },
  rollups: {
    type: z.int().min(2).max(16),
    default: 16,
    env: 'SQUAD_BENCH_ROLLUPS',
    flag: '--rollups',
    help: 'rollups, one of which floods',
  },
  lightRate: {
    type: z.int().min(1).max(10_000),
    default: 5,
    env: 'SQUAD_BENCH_LIGHT_RATE',
    flag: '--light-rate',
    help: 'transactions a second of each of the others',
  },
  floodRate: {
    type: z.int().min(1).max(1_000_000),
    default: 2_000,
    env: 'SQUAD_BENCH_FLOOD_RATE',
    flag: '--flood-rate',
    help: 'transactions a second of the one that floods',
  },
  transactionBytes: {
    type: z.int().min(32).max(65_536),
    default: 256,
    env: 'SQUAD_BENCH_TX_SIZE',
    flag: '--tx-size',
    help: 'bytes of an opaque transaction',
  },
  duration: {
    type: z.int().min(5).max(3_600),
    default: 20,
    env: 'SQUAD_BENCH_DURATION',
    flag: '--duration',
    help: 'seconds of each of the two parts',
  },
});

type Options = OptionValues<typeof rollupsOptions>;

const FIRST_ROLLUP_ID = 901;
const WARM_UP_SECONDS = 4;
const START_DELAY_US = 200_000;
const CONNECTIONS = 8;
/** Transactions in a request of the one that floods. */
const FLOOD_PER_REQUEST = 50;
/** Clients by their number: transactions begin with it. */
const [ALONE, BESIDE, FLOOD] = [0, 1, 2];

export interface RollupsMeasured {
  /** Final latency of all light rollups together, from the due time. */
  readonly alone: Latency;
  readonly beside: Latency;
  readonly floodTps: number;
  readonly floodRejected: number;
  readonly lost: number;
  readonly duplicated: number;
  /** Transactions in the sequence of a rollup that they were not sent to. */
  readonly misplaced: number;
  /** Bytes of transactions in the sequences as they were read, by rollup. */
  readonly lightBytes: { readonly min: number; readonly max: number };
  readonly floodBytes: number;
}

export async function measureRollups(
  options: Options,
  program: readonly string[],
  onProgress: (text: string) => void,
): Promise<RollupsMeasured> {
  const directory = mkdtempSync(join(tmpdir(), 'squad-bench-'));
  const { nodes, rollups } = options;
  const common = { directory, program, nodes, rollups, rollupKind: 'opaque', ports: 'free' } as const;
  let testnet: Testnet | undefined;
  try {
    onProgress(`starting ${nodes} validators for ${rollups} rollups`);
    testnet = await startTestnet({ ...common, logLevel: 'warn' });
    await waitReady(testnet.processes);
    onProgress(`${options.duration} s with the light rollups alone`);
    const alone = await underLoad([lightConfig(options, testnet, ALONE)]);
    onProgress(`${options.duration} s with one that floods`);
    const beside = await underLoad([lightConfig(options, testnet, BESIDE), floodConfig(options, testnet)]);
    const loads = [...alone, ...beside];
    const flood = loads[FLOOD]!;
    return {
      alone: finalLatency(loads[ALONE]!),
      beside: finalLatency(loads[BESIDE]!),
      floodTps: flood.final / options.duration,
      floodRejected: flood.rejected,
      ...(await checkSequences(options, testnet, loads, onProgress)),
    };
  } finally {
    await testnet?.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function underLoad(configs: readonly LoadConfig[]): Promise<readonly LoadResult[]> {
  const fleet = new LoadFleet(configs);
  try {
    await fleet.ready();
    return await fleet.run(nowUs() + START_DELAY_US);
  } finally {
    fleet.stop();
  }
}

function finalLatency({ seconds }: LoadResult): Latency {
  return latencyOf(seconds.filter(({ second }) => second >= WARM_UP_SECONDS).map(({ final }) => final))!;
}

function lightIds({ rollups }: Options): number[] {
  return Array.from({ length: rollups - 1 }, (_, i) => FIRST_ROLLUP_ID + 1 + i);
}

function lightConfig(options: Options, testnet: Testnet, client: number): LoadConfig {
  const rollupIds = lightIds(options);
  const rate = options.lightRate * rollupIds.length;
  return { ...configOf(options, testnet, client), rollupIds, rate, transactionsPerRequest: 1 };
}

function floodConfig(options: Options, testnet: Testnet): LoadConfig {
  const { floodRate: rate } = options;
  const transactionsPerRequest = Math.min(FLOOD_PER_REQUEST, Math.ceil(rate / 50));
  return { ...configOf(options, testnet, FLOOD), rollupIds: [FIRST_ROLLUP_ID], rate, transactionsPerRequest };
}

function configOf({ transactionBytes, duration }: Options, testnet: Testnet, client: number) {
  return {
    kind: 'squad-opaque',
    client,
    // Each has the whole of its own rate.
    clients: 1,
    targets: testnet.nodes.map(({ name, rpcUrl, webSocketUrl }, author) => ({ name, author, rpcUrl, webSocketUrl })),
    transactionBytes,
    connectionsPerTarget: CONNECTIONS,
    window: 0,
    durationUs: duration * 1e6,
    seed: 1,
    signedPerConnection: 0,
    senderKeys: [],
  } as const;
}

/** Reads each rollup's sequence back, each from another node. */
async function checkSequences(
  options: Options,
  testnet: Testnet,
  loads: readonly LoadResult[],
  onProgress: (text: string) => void,
) {
  onProgress('reading each sequence back');
  const chain = await commonChain(testnet.nodes);
  const counts = new TransactionCounts(loads);
  const light = lightIds(options);
  const rollupOf = (transaction: string): number => {
    const client = Number.parseInt(transaction.slice(2, 6), 16);
    const number = Number.parseInt(transaction.slice(6, 18), 16);
    return client === FLOOD ? FIRST_ROLLUP_ID : light[number % light.length]!;
  };
  let misplaced = 0;
  const bytes = new Map<number, number>();
  for (const [index, rollupId] of [FIRST_ROLLUP_ID, ...light].entries()) {
    const node = testnet.nodes[index % testnet.nodes.length]!;
    bytes.set(rollupId, 0);
    await readSequence(node.webSocketUrl, rollupId, chain.height, ({ batches }) => {
      for (const transaction of batches.flatMap(({ transactions }) => transactions)) {
        counts.add(transaction);
        if (rollupOf(transaction) !== rollupId) misplaced++;
        bytes.set(rollupId, bytes.get(rollupId)! + (transaction.length - 2) / 2);
      }
    });
  }
  const { lost, duplicated } = counts.compare();
  const ofLight = light.map((rollupId) => bytes.get(rollupId)!);
  return {
    lost,
    duplicated: duplicated + chain.repeatedBatches,
    misplaced,
    lightBytes: { min: Math.min(...ofLight), max: Math.max(...ofLight) },
    floodBytes: bytes.get(FIRST_ROLLUP_ID)!,
  };
}
