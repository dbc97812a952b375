/** Which systems a bench measures: SQUAD, and those of --baseline that are there. */

import type { BenchOptions } from '../options.ts';
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
  const squad = { workload, program, version, delayMs } as const;
  const notes: string[] = [];
  const others: System[] = [];
  const add = (found: System | string) => {
    if (typeof found === 'string') notes.push(found);
    else others.push(found);
  };
  if (baseline.includes('single') && nodes > 1) others.push(squadSystem({ ...squad, id: 'single', nodes: 1 }));
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
  return { systems: [squadSystem({ ...squad, id: 'squad', nodes }), ...others], notes };
}
