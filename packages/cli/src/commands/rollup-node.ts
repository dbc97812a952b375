/** `squad rollup-node`: follows the sequencers of one rollup, verifies, executes, serves eth_*. */

import { checkRollupNodeOptions, rollupNodeOptions } from '@squad/rollup-node/options';
import type { Command } from 'commander';
import { addOptions, readOptions } from '../options.ts';
import { serve } from '../serve.ts';

export function define(command: Command): void {
  addOptions(command, rollupNodeOptions)
    .addHelpText(
      'after',
      '\nExamples:\n  $ squad rollup-node --config node.yaml\n  $ squad show-config rollup-node --config node.yaml   what it would run with',
    )
    .action(async () => {
      const options = readOptions(command, rollupNodeOptions, checkRollupNodeOptions).values;
      process.exitCode = await serve(async () => {
        const { createRollupNode } = await import('@squad/rollup-node');
        return createRollupNode(options);
      });
    });
}
