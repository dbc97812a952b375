/** Which systems a bench measures: SQUAD, and those of --baseline that are there. */

import { availableParallelism } from 'node:os';
import { type BenchOptions, faultOf } from '../options.ts';
import { versionOf } from '../systems/child.ts';
import { cometbftSystems } from '../systems/cometbft.ts';
import { ethereumSystems } from '../systems/ethereum.ts';
import { squadSystem } from '../systems/squad.ts';
import type { System } from '../systems/system.ts';

export interface ChosenSystems {
  readonly systems: readonly [System, ...System[]];
  /** A line for each that was asked for and is not measured. */
  readonly notes: readonly string[];
}

export async function chooseSystems(
  options: BenchOptions,
  program: readonly string[],
  version: string,
): Promise<ChosenSystems> {
  const { nodes, workload, baseline } = options;
  const delayMs = options.latency === 'wan' ? options.wanDelay : 0;
  const fault = faultOf(options.faults);
  const floods = fault.kind === 'flood' ? fault.count : 0;
  // Those who flood take no transactions, nor do their like in the network that is compared.
  const squad = { workload, program, version, delayMs, withoutClients: floods } as const;
  const notes: string[] = [];
  const others: System[] = [];
  const add = (found: System | string) => {
    if (typeof found === 'string') notes.push(found);
    else others.push(found);
  };
  if (floods > 0) others.push(squadSystem({ ...squad, id: 'unflooded', nodes }));
  if (baseline.includes('single') && nodes > 1)
    others.push(squadSystem({ ...squad, id: 'single', nodes: 1, withoutClients: 0 }));
  if (baseline.includes('unsigned')) {
    if (workload === 'evm')
      notes.push('votes not signed: skipped, a rollup node checks what votes prove (--workload opaque)');
    else if (fault.kind !== 'none') notes.push('votes not signed: skipped, it bears no faults (--faults none)');
    else others.push(squadSystem({ ...squad, id: 'unsigned', nodes, unsignedVotes: true }));
  }
  if (baseline.includes('cores')) {
    const fewer = fewerCores(availableParallelism());
    if ((await versionOf('taskset', ['--version'])) === undefined)
      notes.push('fewer cores: skipped, taskset is not on PATH');
    else if (fewer.length === 0) notes.push('fewer cores: skipped, this machine has one');
    else for (const cores of fewer) others.push(squadSystem({ ...squad, id: `cores-${cores}`, nodes, cores }));
  }
  if (baseline.includes('cometbft')) {
    if (workload === 'evm') notes.push('CometBFT: skipped, its kvstore executes no transfers (--workload opaque)');
    else if (delayMs > 0) notes.push('CometBFT: skipped, --latency wan delays SQUAD alone');
    else {
      const found = await cometbftSystems(nodes);
      for (const one of typeof found === 'string' ? [found] : found) add(one);
    }
  }
  if (baseline.includes('ethereum')) {
    if (workload === 'opaque') notes.push('anvil, geth: skipped, they take only transfers (--workload evm)');
    else for (const one of await ethereumSystems()) add(one);
  }
  return { systems: [squadSystem({ ...squad, id: 'squad', nodes, floods }), ...others], notes };
}

/** Half of them, half of that, and so on to one: the fewest first. */
export function fewerCores(all: number): number[] {
  const fewer: number[] = [];
  for (let cores = Math.floor(all / 2); cores >= 1; cores = Math.floor(cores / 2)) fewer.unshift(cores);
  return fewer;
}
