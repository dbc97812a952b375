/** The options of one of the bench's commands, from its arguments and the environment. */

import { attachOptions, givenFlags, type OptionDefinitions, type OptionValues, resolveOptions } from '@squad/service';
import { Command, CommanderError } from 'commander';

/** `check` says what is wrong with the values together. Undefined if help was asked for. Throws the SquadError that says which option is wrong. */
export function commandOptions<D extends OptionDefinitions>(
  name: string,
  description: string,
  definitions: D,
  argv: readonly string[],
  check?: (values: OptionValues<D>) => string | undefined,
): OptionValues<D> | undefined {
  const command = attachOptions(new Command(name).description(description), definitions).exitOverride();
  try {
    command.parse([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return undefined;
    throw error;
  }
  const resolved = resolveOptions(definitions, { flags: givenFlags(command, definitions), env: process.env }, check);
  if (!resolved.ok) throw resolved.error;
  return resolved.value.values;
}
