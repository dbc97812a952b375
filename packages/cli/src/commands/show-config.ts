/** `squad show-config ROLE`: what a process would run with, and where each value comes from. */

import { describeOptions, type OptionDefinitions } from '@squad/service';
import { plainTable } from '@squad/testnet';
import { SquadError } from '@squad/types';
import type { Command } from 'commander';
import { addOptions, sourcesOf } from '../options.ts';

const ROLES: Readonly<Record<string, { summary: string; load: () => Promise<OptionDefinitions> }>> = {
  sequencer: {
    summary: 'options of squad sequencer',
    load: async () => (await import('@squad/sequencer/options')).sequencerOptions,
  },
  'rollup-node': {
    summary: 'options of squad rollup-node',
    load: async () => (await import('@squad/rollup-node/options')).rollupNodeOptions,
  },
  testnet: {
    summary: 'options of squad testnet',
    load: async () => (await import('../testnet/options.ts')).testnetOptions,
  },
};

export async function define(command: Command, argv: readonly string[]): Promise<void> {
  for (const [role, { summary, load }] of Object.entries(ROLES)) {
    const child = command.command(role).description(summary);
    if (!argv.includes(role)) continue;
    const definitions = await load();
    addOptions(child, definitions);
    child.option('--json', 'print JSON').action(() => show(child, definitions));
  }
  command.addHelpText(
    'after',
    '\nTakes the same flags, environment and --config as the command itself. Secrets are hidden.\nExit code 1 if an option that must be given is missing.\n\nExamples:\n  $ squad show-config sequencer --config node.yaml\n  $ squad show-config testnet --nodes 7',
  );
}

/** Throws only after all is shown if options are missing: what the others are is what one looks here for. */
function show(command: Command, definitions: OptionDefinitions): void {
  const described = describeOptions(definitions, sourcesOf(command, definitions));
  if (!described.ok) throw described.error;
  const { rows, missing } = described.value;
  if (command.getOptionValue('json') === true) {
    process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  } else {
    const style = { color: process.stdout.isTTY === true };
    const table = rows.map(({ name, value, origin }) => [name, value, origin]);
    process.stdout.write(`${plainTable(style, ['option', 'value', 'from'], table)}\n`);
  }
  if (missing.length === 0) return;
  throw new SquadError(
    'OPTION_MISSING',
    `options that must be given are not set: ${missing.join(', ')}`,
    `Give ${missing.map((name) => definitions[name]!.flag).join(', ')}, or set them in the environment or the configuration file.`,
    { missing },
  );
}
