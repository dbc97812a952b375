/** One network under one load: started, warmed up, measured, checked, stopped. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startTestnet, type Testnet } from '@squad/testnet';
import { nowUs } from '../load/clock.ts';
import type { LoadConfig, LoadResult, LoadTarget } from '../load/protocol.ts';
import { INSPECTOR_FLAGS, type RunningProfile, startProfile } from '../measure/profile.ts';
import { type SampledProcess, Sampler } from '../measure/sampler.ts';
import type { BenchOptions } from '../options.ts';
import { LoadFleet } from './load-fleet.ts';
import { waitReady } from './ready.ts';

/** From the word to begin until the first transaction is due. */
const START_DELAY_US = 200_000;
const FIRST_ROLLUP_ID = 901;
/** A request holds what arrives in this time, up to --per-request. */
const REQUEST_SPAN_SECONDS = 0.02;

export interface Plan {
  readonly nodes: number;
  /** Undefined: as many as are taken. */
  readonly rate: number | undefined;
}

export interface Measured {
  readonly plan: Plan;
  readonly transactionsPerRequest: number;
  readonly startUs: number;
  /** What is measured lies between these. */
  readonly fromUs: number;
  readonly toUs: number;
  readonly loads: readonly LoadResult[];
  readonly processes: readonly SampledProcess[];
  readonly profilePath: string | undefined;
}

export interface MeasureContext {
  readonly options: BenchOptions;
  readonly program: readonly string[];
  readonly onProgress: (text: string) => void;
}

export async function measure(context: MeasureContext, plan: Plan): Promise<Measured> {
  const { options, program, onProgress } = context;
  const directory = mkdtempSync(join(tmpdir(), 'squad-bench-'));
  onProgress(`starting ${plan.nodes} validator${plan.nodes === 1 ? '' : 's'}`);
  const testnet = await startTestnet({
    directory,
    program: [program[0]!, ...INSPECTOR_FLAGS, ...program.slice(1)],
    nodes: plan.nodes,
    rollups: 1,
    rollupKind: 'opaque',
    ports: 'free',
    logLevel: 'warn',
  });
  try {
    await waitReady(testnet.nodes);
    return await underLoad(context, plan, testnet, options);
  } finally {
    await testnet.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function underLoad(
  { onProgress }: MeasureContext,
  plan: Plan,
  testnet: Testnet,
  options: BenchOptions,
): Promise<Measured> {
  const transactionsPerRequest = requestSize(plan, options);
  const durationUs = (options.warmup + options.duration) * 1e6;
  const fleet = new LoadFleet(loadConfigs(plan, testnet, options, transactionsPerRequest, durationUs));
  try {
    await fleet.ready();
    const sampler = new Sampler([
      ...testnet.processes.map(({ name, role, process }) => ({ name, role, pid: () => process.pid })),
      ...fleet.pids.map((pid, client) => ({ name: `load-${client}`, role: 'load', pid: () => pid })),
      { name: 'bench', role: 'bench', pid: () => process.pid },
    ]);
    const startUs = nowUs() + START_DELAY_US;
    const fromUs = startUs + options.warmup * 1e6;
    const toUs = startUs + durationUs;
    sampler.start();
    const running = fleet.run(startUs);
    running.catch(() => {});
    const ticker = setInterval(() => onProgress(progressText(fleet, startUs, fromUs)), 1_000);
    await Promise.race([until(fromUs), running]);
    sampler.sample();
    const profile = await beginProfile(options, testnet);
    await Promise.race([until(toUs), running]);
    sampler.sample();
    const profilePath = await endProfile(profile, options, plan);
    const loads = await running;
    clearInterval(ticker);
    return {
      plan,
      transactionsPerRequest,
      startUs,
      fromUs,
      toUs,
      loads,
      processes: sampler.stop(),
      profilePath,
    };
  } finally {
    fleet.stop();
  }
}

/** At a low rate a request is small: what arrives in a moment, not what fills the largest. */
function requestSize({ rate }: Plan, { perRequest }: BenchOptions): number {
  if (rate === undefined) return perRequest;
  return Math.min(perRequest, Math.max(1, Math.round(rate * REQUEST_SPAN_SECONDS)));
}

function loadConfigs(
  plan: Plan,
  testnet: Testnet,
  options: BenchOptions,
  transactionsPerRequest: number,
  durationUs: number,
): LoadConfig[] {
  const targets = testnet.nodes.map(
    ({ name, rpcUrl, webSocketUrl }, author): LoadTarget => ({ name, author, rpcUrl, webSocketUrl }),
  );
  const { clients } = options;
  return Array.from({ length: clients }, (_, client) => ({
    client,
    clients,
    // Nodes are dealt out to clients, or clients to nodes if there are more of them.
    targets:
      clients >= targets.length
        ? [targets[client % targets.length]!]
        : targets.filter((_target, index) => index % clients === client),
    rollupId: FIRST_ROLLUP_ID,
    transactionBytes: options.transactionBytes,
    transactionsPerRequest,
    connectionsPerTarget: options.connections,
    rate: plan.rate,
    window: Math.max(transactionsPerRequest, Math.floor(options.window / clients)),
    durationUs,
    seed: options.seed,
  }));
}

async function beginProfile(options: BenchOptions, testnet: Testnet): Promise<RunningProfile | undefined> {
  if (options.cpuProfile === undefined) return undefined;
  const { process, logPath } = testnet.process(options.cpuProfile);
  return startProfile(process.pid!, logPath);
}

async function endProfile(
  profile: RunningProfile | undefined,
  options: BenchOptions,
  { nodes }: Plan,
): Promise<string | undefined> {
  if (profile === undefined) return undefined;
  mkdirSync(options.directory, { recursive: true });
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
  const path = resolve(options.directory, `${options.cpuProfile}-of-${nodes}-${stamp}.cpuprofile`);
  await profile.stop(path);
  return path;
}

function progressText(fleet: LoadFleet, startUs: number, fromUs: number): string {
  const now = nowUs();
  const { offered, accepted, final, rejected } = fleet.counts;
  const phase = now < fromUs ? 'warm-up' : 'measuring';
  return `${phase} ${((now - startUs) / 1e6).toFixed(0)} s: ${offered} offered, ${accepted} accepted, ${final} final, ${rejected} rejected`;
}

function until(atUs: number): Promise<void> {
  return new Promise((done) => setTimeout(done, Math.max(0, (atUs - nowUs()) / 1000)));
}
