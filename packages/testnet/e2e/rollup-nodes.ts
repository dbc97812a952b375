/** Rollup nodes beside a testnet's own, started as a team starts them: by options, with a rollup file of its own. */

import { join } from 'node:path';
import { ManagedProcess, type Testnet } from '../src/index.ts';
import { freePort, SQUAD_MAIN, waitReady } from './support.ts';

export interface RollupNodeOptions {
  /** Of its process, data and log. */
  readonly name: string;
  readonly rollupPath: string;
  /** Default: the testnet's. */
  readonly genesisPath?: string;
  /** More words of the command line. */
  readonly more?: readonly string[];
}

export interface RollupNode {
  readonly name: string;
  readonly rpcUrl: string;
  readonly process: ManagedProcess;
  /** Resolves once it is near the head of the set. */
  ready(): Promise<void>;
}

export class RollupNodes {
  readonly #testnet: Testnet;
  readonly #all: RollupNode[] = [];

  constructor(testnet: Testnet) {
    this.#testnet = testnet;
  }

  /** Resolves once it serves; `ready` waits for the rest. */
  async start({ name, rollupPath, genesisPath, more = [] }: RollupNodeOptions): Promise<RollupNode> {
    const { directory, genesisPath: shared, nodes } = this.#testnet;
    const port = await freePort();
    const command = [process.execPath, SQUAD_MAIN, 'rollup-node', '--genesis', genesisPath ?? shared];
    command.push('--metrics-port', '0', '--rollup', rollupPath, '--data-directory', join(directory, name));
    command.push('--rpc-port', String(port), '--sequencer-rpc', nodes[0]!.rpcUrl, ...more);
    const managed = new ManagedProcess({ name, command, logPath: join(directory, `${name}.log`) });
    const rpcUrl = `http://127.0.0.1:${port}`;
    const ready = () => waitReady([{ ...nodes[0]!, name, rpcUrl, process: managed }]);
    const node = { name, rpcUrl, process: managed, ready };
    this.#all.push(node);
    await managed.start();
    return node;
  }

  find(name: string): RollupNode {
    return this.#all.find((node) => node.name === name)!;
  }

  showLogs(): void {
    for (const { name, process: one } of this.#all) console.error(`── ${name} (${one.state})\n${one.logTail(15)}`);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map(({ process: one }) => one.stop()));
  }
}
