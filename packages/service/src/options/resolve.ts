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
}

/** An option for people: its value as text, hidden if it is secret. */
export interface OptionRow {
  readonly name: string;
  readonly value: string;
  /** Where the value came from, or how to give one that is missing. */
  readonly origin: string;
}

export interface DescribedOptions {
  /** One for each option. */
  readonly rows: readonly OptionRow[];
  /** Names of those that must be given and are not. */
  readonly missing: readonly string[];
}

export const HIDDEN = '<hidden>';
const MISSING = '<missing>';

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
  for (const option of readAll(definitions, sources)) {
    if (option.fault !== undefined) return err(option.fault);
    values[option.name] = option.value;
    origins[option.name] = option.origin;
  }
  hideSecrets(values, new Set(Object.keys(definitions).filter((name) => definitions[name]!.secret === true)));
  const fault = check?.(values as OptionValues<Definitions>);
  if (fault !== undefined) {
    return err(new SquadError('OPTIONS_INCONSISTENT', fault, 'Change one of the options that it names.'));
  }
  return ok({
    values: values as OptionValues<Definitions>,
    origins: origins as ResolvedOptions<Definitions>['origins'],
  });
}

/** The same for people, who want to see the others too while some are missing. Errors as there, but for `OPTION_MISSING`. */
export function describeOptions(
  definitions: OptionDefinitions,
  sources: OptionSources,
): Result<DescribedOptions, SquadError> {
  const unknown = unknownKey(definitions, sources.file);
  if (unknown !== undefined) return err(unknown);
  const rows: OptionRow[] = [];
  const missing: string[] = [];
  for (const { name, value, origin, fault } of readAll(definitions, sources)) {
    const { secret, flag, env } = definitions[name]!;
    if (fault === undefined) {
      const shown = secret === true && value !== undefined ? HIDDEN : toText(value);
      rows.push({ name, value: shown, origin: originText(origin) });
    } else if (fault.code === 'OPTION_MISSING') {
      rows.push({ name, value: MISSING, origin: `give ${flag} or ${env}` });
      missing.push(name);
    } else {
      return err(fault);
    }
  }
  return ok({ rows, missing });
}

interface ReadOption {
  readonly name: string;
  readonly value: unknown;
  readonly origin: Origin;
  readonly fault: SquadError | undefined;
}

function* readAll(definitions: OptionDefinitions, sources: OptionSources): Generator<ReadOption> {
  for (const [name, definition] of Object.entries<OptionDefinition>(definitions)) {
    const found = find(name, definition, sources);
    const parsed = definition.type.safeParse(found.value);
    const fault = parsed.success ? undefined : refuse(name, definition, found, parsed.error);
    yield { name, value: parsed.data, origin: found.origin, fault };
  }
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

function originText(origin: Origin): string {
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
