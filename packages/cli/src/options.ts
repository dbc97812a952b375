/** Options of a command: flags, environment, and the file given with --config, by one table. */

import {
  attachOptions,
  givenFlags,
  type OptionDefinitions,
  type OptionSources,
  type OptionValues,
  type ResolvedOptions,
  readOptionsFile,
  resolveOptions,
} from '@squad/service';
import type { Command } from 'commander';

const CONFIG_ENV = 'SQUAD_CONFIG';

export function addOptions(command: Command, definitions: OptionDefinitions): Command {
  attachOptions(command, definitions);
  return command.option('--config <file>', `YAML or JSON file that gives options by their names (env ${CONFIG_ENV})`);
}

/** The values in effect. Throws the SquadError that says which option is wrong, and how to mend it. */
export function readOptions<Definitions extends OptionDefinitions>(
  command: Command,
  definitions: Definitions,
  check?: (values: OptionValues<Definitions>) => string | undefined,
): ResolvedOptions<Definitions> {
  const resolved = resolveOptions(definitions, sourcesOf(command, definitions), check);
  if (!resolved.ok) throw resolved.error;
  return resolved.value;
}

/** What was given, wherever it was. Throws the SquadError that says what is wrong with the configuration file. */
export function sourcesOf(command: Command, definitions: OptionDefinitions): OptionSources {
  const flags = givenFlags(command, definitions);
  const path = (command.getOptionValue('config') as string | undefined) ?? process.env[CONFIG_ENV];
  if (path === undefined || path === '') return { flags, env: process.env };
  const file = readOptionsFile(path);
  if (!file.ok) throw file.error;
  return { flags, env: process.env, file: file.value };
}
