/** `squad sequencer`: one sequencer of a network. */

import { sequencerOptions } from '@squad/sequencer/options';
import { type Command, Option } from 'commander';
import { addOptions, readOptions } from '../options.ts';
import { serve } from '../serve.ts';

export function define(command: Command): void {
  addOptions(command, sequencerOptions)
    .addHelpText(
      'after',
      '\nExamples:\n  $ squad sequencer --config node.yaml\n  $ squad show-config sequencer --config node.yaml   what it would run with',
    )
    // For tests alone: no environment variable and no key of the configuration file sets it.
    .addOption(new Option('--test-misbehave <how>', 'sign what convicts this validator').hideHelp())
    .action(async ({ testMisbehave }: { readonly testMisbehave?: string }) => {
      const options = readOptions(command, sequencerOptions).values;
      const lie = testMisbehave === undefined ? undefined : await misbehaviour(testMisbehave);
      process.exitCode = await serve(async () => {
        const { createSequencer } = await import('@squad/sequencer');
        return createSequencer(options, lie);
      });
    });
}

/** Throws unless the environment allows it. */
async function misbehaviour(text: string) {
  const { checkMisbehaviour, misbehaveBy } = await import('@squad/sequencer/misbehaviour');
  return misbehaveBy(checkMisbehaviour(text, process.env));
}
