/** `squad sequencer`: one sequencer of a network. */

import { sequencerOptions } from '@squad/sequencer/options';
import type { Command } from 'commander';
import { addOptions, readOptions } from '../options.ts';
import { serve } from '../serve.ts';

export function define(command: Command): void {
  addOptions(command, sequencerOptions)
    .addHelpText(
      'after',
      '\nExamples:\n  $ squad sequencer --config node.yaml\n  $ squad show-config sequencer --config node.yaml   what it would run with',
    )
    .action(async () => {
      const options = readOptions(command, sequencerOptions).values;
      process.exitCode = await serve(async () => {
        const { createSequencer } = await import('@squad/sequencer');
        return createSequencer(options);
      });
    });
}
