/**
 * One definition of an option gives its type, default, environment variable, flag, key in the configuration file and help
 * text. Everything that reads, prints or documents options goes through these tables.
 */

import type { z } from 'zod';

export interface OptionDefinition<Schema extends z.ZodType = z.ZodType> {
  /** What the value must be. Text from flags and the environment is first turned into the kind that it takes. */
  readonly type: Schema;
  /** Absent: the option must be given, unless its type takes undefined. */
  readonly default?: z.output<Schema>;
  /** Such as `SQUAD_RPC_PORT`. */
  readonly env: string;
  /** Such as `--rpc-port`. */
  readonly flag: string;
  readonly help: string;
  /** Never printed. */
  readonly secret?: boolean;
}

export type OptionDefinitions = Readonly<Record<string, OptionDefinition>>;

export type OptionValues<Definitions extends OptionDefinitions> = {
  readonly [Name in keyof Definitions]: z.output<Definitions[Name]['type']>;
};

/** Checks each definition and hands the table on with its exact type. Throws on a fault: that is a bug in the table. */
export function defineOptions<const Definitions extends OptionDefinitions>(definitions: Definitions): Definitions {
  const flags = new Set<string>();
  const environment = new Set<string>();
  for (const [name, { env, flag, help, type, default: fallback }] of Object.entries<OptionDefinition>(definitions)) {
    if (!/^[a-z][a-zA-Z0-9]*$/.test(name)) throw new Error(`the option name "${name}" is not camelCase`);
    if (!/^--[a-z][a-z0-9-]*$/.test(flag)) throw new Error(`${name}: the flag "${flag}" is not --kebab-case`);
    if (!/^SQUAD_[A-Z0-9_]+$/.test(env)) throw new Error(`${name}: the variable "${env}" is not SQUAD_UPPER_CASE`);
    if (flags.has(flag) || environment.has(env)) throw new Error(`${name}: ${flag} or ${env} is defined twice`);
    if (help === '') throw new Error(`${name}: no help text`);
    if (fallback !== undefined && !type.safeParse(fallback).success) {
      throw new Error(`${name}: its own default is not valid`);
    }
    flags.add(flag);
    environment.add(env);
  }
  return definitions;
}
