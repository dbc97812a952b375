/** `squad rollup-genesis`: the rollup's genesis as Ethereum execution clients read it. */

import { readFile } from 'node:fs/promises';
import { SquadError } from '@squad/types';
import type { Command } from 'commander';

export function define(command: Command): void {
  command
    .argument('<file>', 'the rollup file, such as rollup.json, with "ethereumBlocks": true')
    .addHelpText(
      'after',
      '\nExample:\n  $ squad rollup-genesis rollup.json > genesis.json\n  $ geth init --datadir geth genesis.json',
    )
    .action(async (path: string) => {
      const json = await readJson(path);
      const { parseRollupFile } = await import('@squad/rollup-node/config');
      const { ethereumGenesis, genesisHash } = await import('@squad/rollup-node/ethereum-genesis');
      const file = parseRollupFile(json);
      if (!file.ok) throw file.error;
      const genesis = ethereumGenesis(file.value);
      process.stdout.write(`${JSON.stringify(genesis, null, 2)}\n`);
      process.stderr.write(`block 0 is ${await genesisHash(file.value)}: the client has to come to the same\n`);
    });
}

async function readJson(path: string): Promise<unknown> {
  const remedy = 'Name the rollup file that the rollup nodes are started with.';
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    const what = error instanceof SyntaxError ? 'is not JSON' : 'cannot be read';
    throw new SquadError(
      'FILE_UNREADABLE',
      `the rollup file ${path} ${what}: ${(error as Error).message}`,
      remedy,
      { path },
      error,
    );
  }
}
