/** `testnet.json`: what runs where, so that scripts and `squad status` need not read the launcher's output. */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { SquadError } from '@squad/types';
import { z } from 'zod';
import { replaceFile } from './genesis.ts';
import { pathsOf } from './layout.ts';

const ProcessEntry = z.object({
  name: z.string(),
  role: z.enum(['sequencer', 'rollup-node']),
  /** Null when it does not run. */
  pid: z.int().nullable(),
  rpcUrl: z.string(),
  webSocketUrl: z.string(),
  /** Null for a rollup node, which only dials. */
  p2pAddress: z.string().nullable(),
  metricsUrl: z.string(),
  logPath: z.string(),
  dataDirectory: z.string(),
  configPath: z.string(),
  /** The words of the command that starts this process by hand. */
  command: z.array(z.string()),
});
export type ProcessEntry = z.infer<typeof ProcessEntry>;

const TestnetState = z.object({
  version: z.literal(1),
  state: z.enum(['starting', 'running', 'stopped']),
  launcherPid: z.int().nullable(),
  startedAtMs: z.int(),
  networkId: z.string(),
  genesisPath: z.string(),
  processes: z.array(ProcessEntry),
  rollups: z.array(z.object({ rollupId: z.int(), chainId: z.int(), rpcUrl: z.string(), webSocketUrl: z.string() })),
});
export type TestnetState = z.infer<typeof TestnetState>;

export async function writeState(directory: string, state: TestnetState): Promise<void> {
  await replaceFile(pathsOf(directory).statePath, `${JSON.stringify(state, null, 2)}\n`);
}

/** Throws `TESTNET_NOT_FOUND` if no testnet was ever started there, `TESTNET_FOLDER_CORRUPT` if the file is unreadable. */
export async function readState(directory: string): Promise<TestnetState> {
  const { statePath } = pathsOf(directory);
  if (!existsSync(statePath)) {
    throw new SquadError(
      'TESTNET_NOT_FOUND',
      `there is no testnet in ${directory} (no testnet.json)`,
      'Start one with: squad testnet, or name its folder with --dir.',
    );
  }
  try {
    return TestnetState.parse(JSON.parse(await readFile(statePath, 'utf8')));
  } catch (error) {
    throw new SquadError(
      'TESTNET_FOLDER_CORRUPT',
      `${statePath} cannot be read: ${(error as Error).message.split('\n').slice(0, 6).join(' ')}`,
      'Start the testnet again: it writes the file anew.',
    );
  }
}
