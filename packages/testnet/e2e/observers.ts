/** Nodes that are no validators beside a testnet, as processes of their own. */

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createNodeKey, writeNodeKeyFile } from '@squad/crypto/node';
import { stringify } from 'yaml';
import { ManagedProcess, type Testnet, type TestnetProcess } from '../src/index.ts';
import { startLoad } from './load.ts';
import { finalHeightOf, freePort, SQUAD_MAIN, waitFinalHeight } from './support.ts';

export const CHAIN_ID = 901;
/** Transactions go to those before it. */
export const LIAR = 3;

export class Observers {
  readonly #testnet: Testnet;
  readonly #nonces = new Map<number, number>();
  readonly processes: ManagedProcess[] = [];

  constructor(testnet: Testnet) {
    this.#testnet = testnet;
  }

  async stop(): Promise<void> {
    for (const one of this.processes.splice(0)) await one.stop();
  }

  showLogs(): void {
    for (const one of this.processes) console.error(`── ${one.name} (${one.state})\n${one.logTail(15)}`);
  }

  startLoad() {
    return startLoad(this.#testnet.nodes.slice(0, LIAR), CHAIN_ID, this.#nonces);
  }

  /** Starts a sequencer without a keystore, in a folder of its own. */
  async start(name: string, options: object = {}): Promise<TestnetProcess> {
    const directory = join(this.#testnet.directory, name);
    mkdirSync(directory);
    const configPath = join(directory, 'observer.yaml');
    const nodeKey = join(directory, 'node-key.json');
    await writeNodeKeyFile(nodeKey, createNodeKey(randomBytes(32)));
    const [rpcPort, metricsPort] = [await freePort(), await freePort()];
    const dataDirectory = join(directory, 'data');
    const config = {
      name,
      genesis: this.#testnet.genesisPath,
      dataDirectory,
      nodeKey,
      listen: [],
      rpcPort,
      metricsPort,
      ...options,
    };
    writeFileSync(configPath, stringify(config));
    const logPath = join(directory, 'log');
    const command = [process.execPath, SQUAD_MAIN, 'sequencer', '--config', configPath];
    const managed = new ManagedProcess({ name, command, logPath });
    this.processes.push(managed);
    await managed.start();
    return {
      name,
      role: 'sequencer',
      rpcUrl: `http://127.0.0.1:${rpcPort}`,
      webSocketUrl: `ws://127.0.0.1:${rpcPort}`,
      p2pAddress: undefined,
      metricsUrl: `http://127.0.0.1:${metricsPort}`,
      logPath,
      dataDirectory,
      configPath,
      rollupId: undefined,
      process: managed,
    };
  }

  /** Transactions at the honest ones until there are so many blocks; what was accepted. */
  async ordered(blocks: number): Promise<string[]> {
    const accepting = this.#testnet.nodes.slice(0, LIAR);
    const load = this.startLoad();
    await waitFinalHeight(accepting[0]!, (await finalHeightOf(accepting[0]!)) + blocks, 60_000);
    await load.stop();
    return accepting.flatMap(({ name }) => [...load.accepted(name)]);
  }
}
