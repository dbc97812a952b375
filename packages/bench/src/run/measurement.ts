/** One system under one load: started, warmed up, measured, checked, stopped. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { SquadError } from '@squad/types';
import { DEVELOPMENT_KEYS } from '../load/accounts.ts';
import { nowUs } from '../load/clock.ts';
import type { LoadConfig, LoadResult } from '../load/protocol.ts';
import { type RunningProfile, startProfile } from '../measure/profile.ts';
import { type SampledProcess, Sampler } from '../measure/sampler.ts';
import { bytesOverPorts } from '../measure/wire.ts';
import type { BenchOptions } from '../options.ts';
import type { RunningSystem, System, Verification } from '../systems/system.ts';
import { LoadFleet } from './load-fleet.ts';

/** From the word to begin until the first transaction is due. */
const START_DELAY_US = 200_000;
/** A request holds what arrives in this time, up to --per-request. */
const REQUEST_SPAN_SECONDS = 0.02;
/** Of an EVM load without a rate: more than any system takes in a second. */
const SIGNED_AHEAD_PER_SECOND = 5_000;
const OPAQUE_WINDOW = 32_768;
const EVM_WINDOW = 4_096;

export type Fault = { readonly kind: 'none' } | { readonly kind: 'crash' | 'dead' | 'flood'; readonly count: number };

export interface Plan {
  readonly system: System;
  /** Undefined: as many as are taken. */
  readonly rate: number | undefined;
  readonly fault: Fault;
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
  /** Between nodes, in what is measured; undefined where it cannot be counted. */
  readonly wireBytes: number | undefined;
  readonly verification: Verification;
  readonly profilePath: string | undefined;
}

export interface MeasureContext {
  readonly options: BenchOptions;
  readonly onProgress: (text: string) => void;
}

export async function measure(context: MeasureContext, plan: Plan): Promise<Measured> {
  const { onProgress } = context;
  const directory = mkdtempSync(join(tmpdir(), 'squad-bench-'));
  try {
    onProgress(`starting ${plan.system.title}`);
    const system = await plan.system.start({ directory, onProgress });
    try {
      return await underLoad(context, plan, system);
    } finally {
      await system.stop();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function underLoad(
  { options, onProgress }: MeasureContext,
  plan: Plan,
  system: RunningSystem,
): Promise<Measured> {
  const { fault } = plan;
  const configs = loadConfigs(plan, system, options);
  const { transactionsPerRequest, durationUs } = configs[0]!;
  if (fault.kind === 'dead') await system.crash(fault.count);
  const fleet = new LoadFleet(configs);
  const timers: NodeJS.Timeout[] = [];
  try {
    await fleet.ready();
    const sampler = new Sampler([
      ...system.processes,
      ...fleet.pids.map((pid, client) => ({ name: `load-${client}`, role: 'load', pid: () => pid })),
      { name: 'bench', role: 'bench', pid: () => process.pid },
    ]);
    const startUs = nowUs() + START_DELAY_US;
    const fromUs = startUs + options.warmup * 1e6;
    const toUs = startUs + durationUs;
    // A connection that ends takes its count with it.
    const canCount = system.p2pPorts.length > 0 && fault.kind !== 'crash';
    const wire = () => (canCount ? bytesOverPorts(system.p2pPorts) : undefined);
    sampler.start();
    const running = fleet.run(startUs);
    running.catch(() => {});
    timers.push(setInterval(() => onProgress(progressText(fleet, startUs, fromUs)), 1_000));
    await Promise.race([until(fromUs), running]);
    sampler.sample();
    const wireBefore = await wire();
    const profile = await beginProfile(options, system);
    if (fault.kind === 'crash') {
      const middleMs = (toUs - fromUs) / 2_000;
      timers.push(setTimeout(() => void system.crash(fault.count).catch(() => {}), middleMs));
    }
    await Promise.race([until(toUs), running]);
    sampler.sample();
    const wireAfter = await wire();
    const profilePath = await endProfile(profile, options, plan);
    // What a dead node has accepted becomes final only when it is back.
    if (fault.kind === 'crash' || fault.kind === 'dead') await system.recover();
    const loads = await running;
    for (const timer of timers) clearInterval(timer);
    return {
      plan,
      transactionsPerRequest,
      startUs,
      fromUs,
      toUs,
      loads,
      processes: sampler.stop(),
      wireBytes: wireBefore === undefined || wireAfter === undefined ? undefined : wireAfter - wireBefore,
      verification: await system.verify(loads),
      profilePath,
    };
  } finally {
    for (const timer of timers) clearInterval(timer);
    fleet.stop();
  }
}

/** At a low rate a request is small: what arrives in a moment, not what fills the largest. */
export function requestSize(rate: number | undefined, perRequest: number): number {
  if (rate === undefined) return perRequest;
  return Math.min(perRequest, Math.max(1, Math.round(rate * REQUEST_SPAN_SECONDS)));
}

function loadConfigs({ rate, fault }: Plan, system: RunningSystem, options: BenchOptions): LoadConfig[] {
  const { kind, rollupId } = system;
  const isEvm = kind === 'squad-evm' || kind === 'ethereum';
  const targets = fault.kind === 'dead' ? system.targets.slice(0, system.targets.length - fault.count) : system.targets;
  // A sender's nonces go over one connection, and there are ten senders.
  const clients = isEvm ? Math.min(options.clients, DEVELOPMENT_KEYS.length) : options.clients;
  const connections = isEvm ? Math.floor(DEVELOPMENT_KEYS.length / clients) : options.connections;
  const transactionsPerRequest = Math.min(requestSize(rate, options.perRequest), system.maxPerRequest);
  const window = Math.min(
    options.window ?? (isEvm ? EVM_WINDOW : OPAQUE_WINDOW),
    system.maxWindow ?? Number.POSITIVE_INFINITY,
  );
  const seconds = options.warmup + options.duration;
  return Array.from({ length: clients }, (_, client) => ({
    kind,
    client,
    clients,
    // Nodes are dealt out to clients, or clients to nodes if there are more of them.
    targets:
      clients >= targets.length
        ? [targets[client % targets.length]!]
        : targets.filter((_target, index) => index % clients === client),
    rollupIds: [rollupId],
    transactionBytes: options.transactionBytes,
    transactionsPerRequest,
    connectionsPerTarget: connections,
    rate,
    window: Math.max(transactionsPerRequest, Math.floor(window / clients)),
    durationUs: seconds * 1e6,
    seed: options.seed,
    // Connections take turns, but not evenly to the last one.
    signedPerConnection: isEvm
      ? Math.ceil((1.5 * seconds * (rate ?? SIGNED_AHEAD_PER_SECOND)) / (clients * connections)) +
        transactionsPerRequest
      : 0,
    senderKeys: isEvm ? DEVELOPMENT_KEYS.slice(client * connections, (client + 1) * connections) : [],
  }));
}

async function beginProfile({ cpuProfile }: BenchOptions, system: RunningSystem): Promise<RunningProfile | undefined> {
  if (cpuProfile === undefined) return undefined;
  const pid = system.processes.find(({ name }) => name === cpuProfile)?.pid();
  const logPath = system.logPathOf(cpuProfile);
  // Of a baseline, which has other processes, no profile is asked for.
  return pid === undefined || logPath === undefined ? undefined : startProfile(pid, logPath);
}

async function endProfile(
  profile: RunningProfile | undefined,
  options: BenchOptions,
  { system }: Plan,
): Promise<string | undefined> {
  if (profile === undefined) return undefined;
  try {
    mkdirSync(options.directory, { recursive: true });
    const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
    const path = resolve(options.directory, `${system.id}-${options.cpuProfile}-${stamp}.cpuprofile`);
    await profile.stop(path);
    return path;
  } catch (error) {
    throw new SquadError(
      'PROFILE_FAILED',
      `no profile: ${(error as Error).message}`,
      'Profile a node that stays alive.',
    );
  }
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
