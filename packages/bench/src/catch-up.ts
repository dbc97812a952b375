/**
 * `npm run bench:catch-up`: how fast a validator is back that was away under load (R21). One of the network is killed; the
 * others order for as many blocks as asked for; it is started again while the load goes on.
 */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineOptions, type OptionValues, rpcCall } from '@squad/service';
import { startTestnet, type Testnet, type TestnetProcess } from '@squad/testnet';
import { SquadError } from '@squad/types';
import { z } from 'zod';
import { nowUs } from './load/clock.ts';
import type { LoadConfig } from './load/protocol.ts';
import { usageOf } from './measure/proc.ts';
import { INSPECTOR_FLAGS, type RunningProfile, startProfile } from './measure/profile.ts';
import { LoadFleet } from './run/load-fleet.ts';
import { waitReady } from './systems/ready.ts';

export const catchUpOptions = defineOptions({
  nodes: {
    type: z.int().min(4).max(16),
    default: 4,
    env: 'SQUAD_BENCH_NODES',
    flag: '--nodes',
    help: 'validators, of which one is away',
  },
  blocks: {
    type: z.int().min(100).max(1_000_000),
    default: 10_000,
    env: 'SQUAD_BENCH_BLOCKS',
    flag: '--blocks',
    help: 'blocks that become final while it is away',
  },
  rate: {
    type: z.int().min(1).max(1_000_000),
    default: 500,
    env: 'SQUAD_BENCH_RATE',
    flag: '--rate',
    help: 'transactions a second, while it is away and while it catches up',
  },
  transactionBytes: {
    type: z.int().min(32).max(65_536),
    default: 256,
    env: 'SQUAD_BENCH_TX_SIZE',
    flag: '--tx-size',
    help: 'bytes of an opaque transaction',
  },
  readyWithin: {
    type: z.int().min(10).max(86_400),
    default: 300,
    env: 'SQUAD_BENCH_READY_WITHIN',
    flag: '--ready-within',
    help: 'seconds after its start in which the validator must be back and vote, else the run fails',
  },
  cpuProfile: {
    type: z.string().min(1).optional(),
    env: 'SQUAD_BENCH_CPU_PROF',
    flag: '--cpu-prof',
    help: 'profile this node, such as sequencer-3, while the one that was away catches up; the profile is kept in --dir',
  },
  directory: {
    type: z.string().min(1),
    default: '.squad-bench',
    env: 'SQUAD_BENCH_DIR',
    flag: '--dir',
    help: 'folder for profiles',
  },
});

const ROLLUP_ID = 901;
const CLIENTS = 2;
const POLL_MS = 250;
/** A day: the clients are stopped when enough is seen. */
const LOAD_US = 86_400e6;
const START_DELAY_US = 200_000;

const Status = z.looseObject({
  final: z.object({ height: z.int() }),
  ready: z.boolean(),
  reasons: z.array(z.string()),
});
const CertificateAnswer = z.looseObject({ certificate: z.looseObject({ signers: z.array(z.int()) }) }).nullable();

/** Counts and rates of one run; times from the start of the process that was away. */
export interface CatchUp {
  readonly blocksMissed: number;
  readonly liveBlocksPerSecond: number;
  readonly liveTps: number;
  /** Until it serves JSON-RPC; until it is ready: all blocks and bodies held; until its vote is in a certificate. */
  readonly servesSeconds: number;
  readonly readySeconds: number;
  readonly votesSeconds: number;
  /** Blocks that it took in, divided by the time from serving to ready. */
  readonly catchUpBlocksPerSecond: number;
  readonly ratio: number;
  /** Its own CPU in that time, all threads, divided by the blocks. Undefined where there is no /proc. */
  readonly cpuMsPerBlock: number | undefined;
}

export async function measureCatchUp(
  options: OptionValues<typeof catchUpOptions>,
  [node, ...main]: readonly string[],
  onProgress: (text: string) => void,
): Promise<CatchUp> {
  const directory = mkdtempSync(join(tmpdir(), 'squad-bench-'));
  const { nodes } = options;
  const program = [node!, ...INSPECTOR_FLAGS, ...main];
  const common = { directory, program, nodes, rollups: 1, rollupKind: 'opaque', ports: 'free' } as const;
  let testnet: Testnet | undefined;
  let fleet: LoadFleet | undefined;
  try {
    onProgress(`starting ${nodes} validators`);
    testnet = await startTestnet({ ...common, logLevel: 'warn' });
    await waitReady(testnet.processes);
    const away = testnet.nodes.at(-1)!;
    const alive = testnet.nodes.slice(0, -1);
    await testnet.kill(away.name, 'SIGKILL');
    fleet = new LoadFleet(loadConfigs(options, alive));
    await fleet.ready();
    fleet.run(nowUs() + START_DELAY_US).catch(() => {});
    const missed = await whileAway(options, alive[0]!, fleet, onProgress);
    return { ...missed, ...(await comeBack(options, testnet, away, alive[0]!, missed, onProgress)) };
  } finally {
    fleet?.stop();
    await testnet?.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

type Missed = Pick<CatchUp, 'blocksMissed' | 'liveBlocksPerSecond' | 'liveTps'>;

async function whileAway(
  { blocks }: OptionValues<typeof catchUpOptions>,
  witness: TestnetProcess,
  fleet: LoadFleet,
  onProgress: (text: string) => void,
): Promise<Missed> {
  const from = await statusOf(witness);
  const startedAtMs = Date.now();
  for (let told = 0; ; ) {
    await sleep(POLL_MS);
    const missed = (await statusOf(witness)).final.height - from.final.height;
    const seconds = (Date.now() - startedAtMs) / 1000;
    if (Math.floor(seconds / 5) > told) {
      told = Math.floor(seconds / 5);
      onProgress(`${seconds.toFixed(0)} s: ${missed} of ${blocks} blocks without it`);
    }
    if (missed < blocks) continue;
    return { blocksMissed: missed, liveBlocksPerSecond: missed / seconds, liveTps: fleet.counts.final / seconds };
  }
}

async function comeBack(
  options: OptionValues<typeof catchUpOptions>,
  testnet: Testnet,
  away: TestnetProcess,
  witness: TestnetProcess,
  { liveBlocksPerSecond }: Missed,
  onProgress: (text: string) => void,
): Promise<Omit<CatchUp, keyof Missed>> {
  onProgress(`starting ${away.name} again`);
  const startedAtMs = Date.now();
  const since = () => (Date.now() - startedAtMs) / 1000;
  await testnet.restart(away.name);
  const servesSeconds = since();
  const isLate = () => since() > options.readyWithin;
  const profile = await beginProfile(options, testnet);
  const cpuSeconds = () => usageOf(away.process.pid!)?.cpuSeconds ?? Number.NaN;
  const cpuFrom = cpuSeconds();
  const from = await statusOf(away);
  let status = from;
  let readySeconds: number;
  let cpuMs: number;
  try {
    for (let told = 0; !status.ready; status = await statusOf(away)) {
      if (isLate()) throw tooLate(options, status.reasons.join('; '));
      if (Math.floor(since() / 5) > told) {
        told = Math.floor(since() / 5);
        onProgress(`${since().toFixed(0)} s: final height ${status.final.height}; ${status.reasons.join('; ')}`);
      }
      await sleep(POLL_MS);
    }
  } finally {
    readySeconds = since();
    cpuMs = 1_000 * (cpuSeconds() - cpuFrom);
    await profile?.stop(profilePath(options, onProgress));
  }
  onProgress(`ready after ${readySeconds.toFixed(1)} s`);
  if (!(await seenVoting(testnet, away, witness, status.final.height, isLate))) {
    throw tooLate(options, 'it is ready, and its vote is in no certificate');
  }
  const blocks = status.final.height - from.final.height;
  const catchUpBlocksPerSecond = blocks / (readySeconds - servesSeconds);
  const ratio = catchUpBlocksPerSecond / liveBlocksPerSecond;
  const cpuMsPerBlock = Number.isNaN(cpuMs) ? undefined : cpuMs / blocks;
  return { servesSeconds, readySeconds, votesSeconds: since(), catchUpBlocksPerSecond, ratio, cpuMsPerBlock };
}

function tooLate({ readyWithin }: OptionValues<typeof catchUpOptions>, why: string): SquadError {
  return new SquadError(
    'CATCH_UP_TIMEOUT',
    `the validator is not back ${readyWithin} s after its start: ${why}`,
    'Give it longer by --ready-within, or see with --cpu-prof what it does.',
  );
}

async function beginProfile(
  { cpuProfile }: OptionValues<typeof catchUpOptions>,
  testnet: Testnet,
): Promise<RunningProfile | undefined> {
  if (cpuProfile === undefined) return undefined;
  const { process, logPath } = testnet.process(cpuProfile);
  return startProfile(process.pid!, logPath);
}

function profilePath(
  { cpuProfile, directory }: OptionValues<typeof catchUpOptions>,
  onProgress: (text: string) => void,
): string {
  mkdirSync(directory, { recursive: true });
  const path = resolve(directory, `catch-up-${cpuProfile}-${Date.now()}.cpuprofile`);
  onProgress(`the profile: ${path}`);
  return path;
}

/** Resolves once its vote is in a certificate; false: it became too late for that. */
async function seenVoting(
  testnet: Testnet,
  away: TestnetProcess,
  witness: TestnetProcess,
  from: number,
  isLate: () => boolean,
): Promise<boolean> {
  const self = testnet.nodes.indexOf(away);
  for (let height = from; !isLate(); ) {
    const { final } = await statusOf(witness);
    for (; height <= final.height; height++) {
      const answer = await rpcCall(witness.rpcUrl, 'squad_getCertificate', [height], CertificateAnswer);
      if (answer?.certificate.signers.includes(self)) return true;
    }
    await sleep(POLL_MS);
  }
  return false;
}

function statusOf({ rpcUrl }: TestnetProcess): Promise<z.infer<typeof Status>> {
  return rpcCall(rpcUrl, 'squad_status', [], Status);
}

function loadConfigs(
  { rate, transactionBytes, nodes }: OptionValues<typeof catchUpOptions>,
  alive: readonly TestnetProcess[],
): LoadConfig[] {
  const targets = alive.map(({ name, rpcUrl, webSocketUrl }, author) => ({ name, author, rpcUrl, webSocketUrl }));
  return Array.from({ length: CLIENTS }, (_, client) => ({
    kind: 'squad-opaque' as const,
    client,
    clients: CLIENTS,
    targets: targets.filter((_target, index) => index % CLIENTS === client),
    rollupIds: [ROLLUP_ID],
    transactionBytes,
    transactionsPerRequest: Math.max(1, Math.round(rate / 50)),
    connectionsPerTarget: 8,
    rate,
    window: nodes * 8_192,
    durationUs: LOAD_US,
    seed: 1,
    signedPerConnection: 0,
    senderKeys: [],
  }));
}
