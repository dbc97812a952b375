/** Attaches option tables to commands, and collects what was given on the command line. */

import { type Command, Option } from 'commander';
import type { OptionDefinition, OptionDefinitions } from './definition.ts';
import type { OptionSources } from './resolve.ts';
import { HIDDEN } from './resolve.ts';
import { kindOf, toText, type ValueKind } from './text.ts';

/** Adds a flag for every option. Unknown flags are errors with a suggestion; values are checked by `resolveOptions`. */
export function attachOptions(command: Command, definitions: OptionDefinitions): Command {
  for (const definition of Object.values<OptionDefinition>(definitions)) command.addOption(optionOf(definition));
  return command.showSuggestionAfterError(true).allowUnknownOption(false);
}

function optionOf(definition: OptionDefinition): Option {
  const { flag, help, env, type, default: fallback, secret } = definition;
  const kind = kindOf(type);
  // Values stay text here: one place, `resolveOptions`, reads them whatever their source.
  const value = placeholder(flag, kind);
  const shown = fallback === undefined ? '' : `default ${secret === true ? HIDDEN : toText(fallback)}, `;
  const option = new Option(`${flag} ${value}`, `${help} (${shown}env ${env})`);
  if (kind === 'array') {
    option.argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]);
  }
  return option;
}

/** Stands for the value in the help text. */
function placeholder(flag: string, kind: ValueKind): string {
  const lastWord = flag.slice(flag.lastIndexOf('-') + 1);
  if (kind === 'boolean') return '[true|false]';
  if (kind === 'number') return '<number>';
  return kind === 'array' ? `<${lastWord},…>` : `<${lastWord}>`;
}

/** What was given on the command line, by option name: the `flags` of `resolveOptions`. */
export function givenFlags(command: Command, definitions: OptionDefinitions): NonNullable<OptionSources['flags']> {
  const given: Record<string, string | readonly string[] | boolean | undefined> = {};
  for (const [name, { flag }] of Object.entries<OptionDefinition>(definitions)) {
    const option = command.options.find(({ long }) => long === flag);
    if (option === undefined) continue;
    const value = command.getOptionValue(option.attributeName()) as string | readonly string[] | boolean | undefined;
    if (value !== undefined) given[name] = value;
  }
  return given;
}
