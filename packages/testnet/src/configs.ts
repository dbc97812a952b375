/** The configuration file of each process, and the rollup's genesis file: all that a process started by hand needs. */

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Genesis } from '@squad/types';
import { stringify } from 'yaml';
import { replaceFile } from './genesis.ts';
import type { TestnetPaths } from './layout.ts';
import type { ProcessPorts } from './ports.ts';

/** Where a process runs: the address that it listens on, and the words before its program (`ip netns exec NAME`). */
export interface Place {
  readonly host: string;
  readonly within: readonly string[];
}

export interface ProcessPlan {
  readonly name: string;
  readonly role: 'sequencer' | 'rollup-node';
  /** Of a rollup node. */
  readonly rollupId: number | undefined;
  readonly ports: ProcessPorts;
  readonly place: Place;
}

export interface ConfigOverrides {
  readonly logLevel?: string | undefined;
  readonly l1RpcOf?: ((name: string) => string) | undefined;
  readonly sequencerOptions?: Readonly<Record<string, unknown>>;
  readonly rollupNodeOptions?: Readonly<Record<string, unknown>>;
}

/** What all rollups of the testnet have in common. */
export interface RollupGround {
  readonly genesis: Genesis;
  readonly blockTimeMs: number;
}

export async function writeConfigs(
  paths: TestnetPaths,
  ground: RollupGround,
  plans: readonly ProcessPlan[],
  overrides: ConfigOverrides,
): Promise<void> {
  for (const plan of plans) {
    const at = paths.process(plan.name);
    await mkdir(at.dataDirectory, { recursive: true, mode: 0o700 });
    const options =
      plan.role === 'sequencer'
        ? sequencerConfig(paths, plan, overrides)
        : await rollupNodeConfig(paths, ground, plan, sequencerUrls(plans), overrides);
    await replaceFile(
      at.configPath,
      `# Written by \`squad testnet\` at every start; changes are lost.\n${stringify(options)}`,
    );
  }
}

function sequencerUrls(plans: readonly ProcessPlan[]): string[] {
  return plans
    .filter(({ role }) => role === 'sequencer')
    .map(({ place, ports }) => `http://${place.host}:${ports.rpc}`);
}

function shared(paths: TestnetPaths, plan: ProcessPlan, overrides: ConfigOverrides): Record<string, unknown> {
  const at = paths.process(plan.name);
  return {
    name: plan.name,
    genesis: paths.genesisPath,
    dataDirectory: at.dataDirectory,
    nodeKey: at.nodeKeyPath,
    rpcHost: plan.place.host,
    rpcPort: plan.ports.rpc,
    metricsHost: plan.place.host,
    metricsPort: plan.ports.metrics,
    ...(overrides.logLevel === undefined ? {} : { logLevel: overrides.logLevel }),
  };
}

function sequencerConfig(paths: TestnetPaths, plan: ProcessPlan, overrides: ConfigOverrides): Record<string, unknown> {
  const at = paths.process(plan.name);
  return {
    ...shared(paths, plan, overrides),
    keystore: at.keystorePath,
    keystorePasswordFile: at.passwordPath,
    listen: [`/ip4/${plan.place.host}/tcp/${plan.ports.p2p}`],
    ...(overrides.l1RpcOf ? { l1Rpc: [overrides.l1RpcOf(plan.name)] } : {}),
    ...overrides.sequencerOptions,
  };
}

async function rollupNodeConfig(
  paths: TestnetPaths,
  { genesis, blockTimeMs }: RollupGround,
  plan: ProcessPlan,
  sequencerRpc: readonly string[],
  overrides: ConfigOverrides,
): Promise<Record<string, unknown>> {
  const rollupPath = join(paths.process(plan.name).folder, 'rollup.json');
  if (!existsSync(rollupPath)) {
    const { developmentRollup } = await import('@squad/rollup-node/config');
    const { genesisTimeMs } = genesis.file;
    const rollup = developmentRollup({ rollupId: plan.rollupId!, genesisTimeMs, blockTimeMs });
    await replaceFile(rollupPath, `${JSON.stringify(rollup, null, 2)}\n`);
  }
  return { ...shared(paths, plan, overrides), rollup: rollupPath, sequencerRpc, ...overrides.rollupNodeOptions };
}
