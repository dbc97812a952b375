/** Values of options from their four sources, nearest first: flag, environment, file, default. */

import { inspect } from 'node:util';
import { err, ok, type Result, SquadError } from '@squad/types';
import type { z } from 'zod';
import type { OptionDefinition, OptionDefinitions, OptionValues } from './definition.ts';
import type { OptionsFile } from './file.ts';
import { fromText, nearest, toText } from './text.ts';

/** Where a value came from; `name` is the flag or variable. */
export type Origin =
  | { readonly kind: 'flag' | 'environment'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string; readonly key: string }
  | { readonly kind: 'default' };

export interface OptionSources {
  /** By option name; text, or lists of text for a flag that was repeated. */
  readonly flags?: Readonly<Record<string, string | readonly string[] | boolean | undefined>>;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly file?: OptionsFile;
}

export interface ResolvedOptions<Definitions extends OptionDefinitions> {
  /** Secrets among them do not show when it is logged or printed as a whole. */
  readonly values: OptionValues<Definitions>;
  readonly origins: { readonly [Name in keyof Definitions]: Origin };
  /** One row for each option, with secrets hidden: for `squad config` and the log at start. */
  describe(): readonly { readonly name: string; readonly value: string; readonly origin: string }[];
}

export const HIDDEN = '<hidden>';

/**
 * Errors: `OPTION_UNKNOWN` (a key of the file, with the nearest known one), `OPTION_MISSING`, `OPTION_INVALID`; each names
 * the option, the value, what is expected and where the value came from. `check` looks at relations between values: it
 * returns what is wrong with them.
 */
export function resolveOptions<Definitions extends OptionDefinitions>(
  definitions: Definitions,
  sources: OptionSources,
  check?: (values: OptionValues<Definitions>) => string | undefined,
): Result<ResolvedOptions<Definitions>, SquadError> {
  const unknown = unknownKey(definitions, sources.file);
  if (unknown !== undefined) return err(unknown);
  const values: Record<string, unknown> = {};
  const origins: Record<string, Origin> = {};
  for (const [name, definition] of Object.entries<OptionDefinition>(definitions)) {
    const found = find(name, definition, sources);
    const parsed = definition.type.safeParse(found.value);
    if (!parsed.success) return err(refuse(name, definition, found, parsed.error));
    values[name] = parsed.data;
    origins[name] = found.origin;
  }
  const secrets = new Set(Object.keys(definitions).filter((name) => definitions[name]!.secret === true));
  hideSecrets(values, secrets);
  const fault = check?.(values as OptionValues<Definitions>);
  if (fault !== undefined) {
    return err(new SquadError('OPTIONS_INCONSISTENT', fault, 'Change one of the options that it names.'));
  }
  return ok({
    values: values as OptionValues<Definitions>,
    origins: origins as ResolvedOptions<Definitions>['origins'],
    describe: () =>
      Object.entries(values).map(([name, value]) => ({
        name,
        value: secrets.has(name) && value !== undefined ? HIDDEN : toText(value),
        origin: originText(origins[name]!),
      })),
  });
}

interface Found {
  readonly value: unknown;
  readonly origin: Origin;
}

function find(name: string, definition: OptionDefinition, { flags, env, file }: OptionSources): Found {
  const flag = flags?.[name];
  if (flag !== undefined)
    return { value: fromFlag(definition.type, flag), origin: { kind: 'flag', name: definition.flag } };
  const variable = env?.[definition.env];
  if (variable !== undefined && variable !== '') {
    const origin: Origin = { kind: 'environment', name: definition.env };
    return { value: fromText(definition.type, variable), origin };
  }
  if (file !== undefined && Object.hasOwn(file.values, name)) {
    return { value: file.values[name], origin: { kind: 'file', path: file.path, key: name } };
  }
  return { value: definition.default, origin: { kind: 'default' } };
}

function fromFlag(type: z.ZodType, flag: string | readonly string[] | boolean): unknown {
  if (typeof flag === 'boolean') return flag;
  if (typeof flag === 'string') return fromText(type, flag);
  return flag.flatMap((text) => fromText(type, text));
}

function unknownKey(definitions: OptionDefinitions, file: OptionsFile | undefined): SquadError | undefined {
  if (file === undefined) return undefined;
  const known = Object.keys(definitions);
  const key = Object.keys(file.values).find((name) => !Object.hasOwn(definitions, name));
  if (key === undefined) return undefined;
  const suggestion = nearest(key, known);
  return new SquadError(
    'OPTION_UNKNOWN',
    `the configuration file ${file.path} has a key "${key}", which is no option`,
    suggestion === undefined ? `Remove it. The options are: ${known.join(', ')}.` : `Did you mean "${suggestion}"?`,
    { path: file.path, key, ...(suggestion === undefined ? {} : { suggestion }) },
  );
}

function refuse(name: string, definition: OptionDefinition, found: Found, error: z.ZodError): SquadError {
  const { flag, env, help, secret } = definition;
  if (found.value === undefined) {
    return new SquadError(
      'OPTION_MISSING',
      `the option ${name} is not set: ${help}`,
      `Give it as ${flag}, as ${env} in the environment, or as ${name} in the configuration file.`,
      { option: name },
    );
  }
  const issue = error.issues[0]!;
  const where = issue.path.length === 0 ? '' : `${issue.path.map(String).join('.')}: `;
  const shown = secret === true ? HIDDEN : toText(found.value);
  // A schema's message may repeat the value.
  const expected = secret === true ? 'see the help text' : `${where}${issue.message}`;
  const origin = originText(found.origin);
  return new SquadError(
    'OPTION_INVALID',
    `the option ${name} (${origin}) has the value ${shown}, which is not valid: ${expected}`,
    `${name}: ${help}. Set it with ${flag}, ${env}, or ${name} in the configuration file.`,
    { option: name, value: shown, expected, origin },
  );
}

export function originText(origin: Origin): string {
  switch (origin.kind) {
    case 'flag':
      return `flag ${origin.name}`;
    case 'environment':
      return `environment ${origin.name}`;
    case 'file':
      return `file ${origin.path}`;
    case 'default':
      return 'default';
  }
}

/** Makes JSON and `console.log` of the whole object show `<hidden>`; reading one property still gives the value. */
function hideSecrets(values: Record<string, unknown>, secrets: ReadonlySet<string>): void {
  const shown = () =>
    Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, secrets.has(name) && value !== undefined ? HIDDEN : value]),
    );
  Object.defineProperty(values, 'toJSON', { value: shown, enumerable: false });
  Object.defineProperty(values, inspect.custom, { value: shown, enumerable: false });
}
