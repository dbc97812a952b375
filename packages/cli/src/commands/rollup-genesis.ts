/** `squad rollup-genesis`: the rollup's genesis as Ethereum execution clients read it. */

import { readBoundedText } from '@squad/service';
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
      const { MAX_ROLLUP_FILE_BYTES, parseRollupFile } = await import('@squad/rollup-node/config');
      const json = await readJson(path, MAX_ROLLUP_FILE_BYTES);
      const { ethereumGenesis, genesisHash } = await import('@squad/rollup-node/ethereum-genesis');
      const file = parseRollupFile(json);
      if (!file.ok) throw file.error;
      const genesis = ethereumGenesis(file.value);
      process.stdout.write(`${JSON.stringify(genesis, null, 2)}\n`);
      process.stderr.write(`block 0 is ${await genesisHash(file.value)}: the client has to come to the same\n`);
    });
}

async function readJson(path: string, maxBytes: number): Promise<unknown> {
  const remedy = 'Name the rollup file that the rollup nodes are started with.';
  try {
    return JSON.parse(await readBoundedText(path, maxBytes, 'MAX_ROLLUP_FILE_BYTES'));
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
