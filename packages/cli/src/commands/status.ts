/** `squad status`: how nodes do, asked over their RPC. */

import { defineOptions } from '@squad/service';
import { type NodeObservation, observe, statusLines } from '@squad/testnet';
import type { Command } from 'commander';
import { z } from 'zod';
import { addOptions, readOptions } from '../options.ts';
import { testnetNodes } from '../testnet/nodes.ts';

const statusOptions = defineOptions({
  rpc: {
    type: z
      .array(z.url({ protocol: /^https?$/ }))
      .max(64)
      .optional(),
    env: 'SQUAD_STATUS_RPC',
    flag: '--rpc',
    help: 'JSON-RPC address of a node; may be repeated. Without it, the testnet in --dir is asked',
  },
  directory: {
    type: z.string().min(1),
    default: '.squad',
    env: 'SQUAD_TESTNET_DIR',
    flag: '--dir',
    help: 'folder of a testnet',
  },
  json: { type: z.boolean(), default: false, env: 'SQUAD_STATUS_JSON', flag: '--json', help: 'print JSON' },
});

export function define(command: Command): void {
  addOptions(command, statusOptions)
    .addHelpText(
      'after',
      '\nExit code 1 if a node is not ready.\n\nExamples:\n  $ squad status\n  $ squad status --rpc http://127.0.0.1:9545 --json',
    )
    .action(() => status(command));
}

async function status(command: Command): Promise<void> {
  const { rpc, directory, json } = readOptions(command, statusOptions).values;
  const asked = rpc === undefined ? await testnetNodes(directory) : rpc.map((url) => ({ name: url, rpcUrl: url }));
  const nodes: NodeObservation[] = await Promise.all(asked.map(({ name, rpcUrl }) => observe(name, rpcUrl)));
  process.stdout.write(
    json
      ? `${JSON.stringify(
          nodes.map((node, index) => ({ ...node, rpcUrl: asked[index]!.rpcUrl })),
          null,
          2,
        )}\n`
      : `${statusLines({ color: process.stdout.isTTY === true }, nodes, undefined)}\n`,
  );
  if (nodes.some((node) => node.state !== 'ready')) process.exitCode = 1;
}
