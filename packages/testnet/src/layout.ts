/** Where everything of a testnet lies, all below one folder. */

import { join, resolve } from 'node:path';

export interface ProcessPaths {
  readonly folder: string;
  /** The options of the process, so that it can be started by hand. */
  readonly configPath: string;
  /** What the process itself stores. */
  readonly dataDirectory: string;
  readonly logPath: string;
  readonly keystorePath: string;
  readonly passwordPath: string;
  readonly nodeKeyPath: string;
}

export interface TestnetPaths {
  readonly directory: string;
  readonly manifestPath: string;
  readonly genesisPath: string;
  /** What runs now, for scripts: `testnet.json`. */
  readonly statePath: string;
  readonly lockName: string;
  readonly lockPath: string;
  process(name: string): ProcessPaths;
}

export function pathsOf(directory: string): TestnetPaths {
  const root = resolve(directory);
  return {
    directory: root,
    manifestPath: join(root, 'manifest.json'),
    genesisPath: join(root, 'genesis.json'),
    statePath: join(root, 'testnet.json'),
    lockName: 'launcher.lock',
    lockPath: join(root, 'launcher.lock'),
    process: (name) => {
      const folder = join(root, name);
      return {
        folder,
        configPath: join(folder, 'config.yaml'),
        dataDirectory: join(folder, 'data'),
        logPath: join(folder, 'log.jsonl'),
        keystorePath: join(folder, 'bls-keystore.json'),
        passwordPath: join(folder, 'bls-password.txt'),
        nodeKeyPath: join(folder, 'node-key.json'),
      };
    },
  };
}

export function sequencerNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `sequencer-${index}`);
}
