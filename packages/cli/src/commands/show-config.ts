/** `squad show-config ROLE`: what a process would run with, and where each value comes from. */

import { describeOptions, type OptionDefinitions, type OptionValues } from '@squad/service';
import { plainTable } from '@squad/testnet';
import { SquadError } from '@squad/types';
import type { Command } from 'commander';
import { addOptions, readOptions, sourcesOf } from '../options.ts';

interface Role {
  readonly definitions: OptionDefinitions;
  /** Of the values together, as the command itself does it. */
  check?(values: OptionValues<OptionDefinitions>): string | undefined;
}

const ROLES: Readonly<Record<string, { summary: string; load: () => Promise<Role> }>> = {
  sequencer: {
    summary: 'options of squad sequencer',
    load: async () => ({ definitions: (await import('@squad/sequencer/options')).sequencerOptions }),
  },
  'rollup-node': {
    summary: 'options of squad rollup-node',
    load: async () => {
      const { checkRollupNodeOptions, rollupNodeOptions } = await import('@squad/rollup-node/options');
      return { definitions: rollupNodeOptions, check: checkRollupNodeOptions };
    },
  },
  testnet: {
    summary: 'options of squad testnet',
    load: async () => ({ definitions: (await import('../testnet/options.ts')).testnetOptions }),
  },
};

export async function define(command: Command, argv: readonly string[]): Promise<void> {
  for (const [role, { summary, load }] of Object.entries(ROLES)) {
    const child = command.command(role).description(summary);
    if (!argv.includes(role)) continue;
    const loaded = await load();
    addOptions(child, loaded.definitions);
    child.option('--json', 'print JSON').action(() => show(child, loaded));
  }
  command.addHelpText(
    'after',
    '\nTakes the same flags, environment and --config as the command itself. Secrets are hidden.\nExit code 1 if the command would refuse them.\n\nExamples:\n  $ squad show-config sequencer --config node.yaml\n  $ squad show-config testnet --nodes 7',
  );
}

/** If options are missing or do not go together, it throws only after all is shown: to see them is what one comes for. */
function show(command: Command, { definitions, check }: Role): void {
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
  if (missing.length === 0) {
    readOptions(command, definitions, check);
    return;
  }
  throw new SquadError(
    'OPTION_MISSING',
    `options that must be given are not set: ${missing.join(', ')}`,
    `Give ${missing.map((name) => definitions[name]!.flag).join(', ')}, or set them in the environment or the configuration file.`,
    { missing },
  );
}
