/** Finds the command, loads only that one, runs it, and turns what goes wrong into words and an exit code. */

import { Command, CommanderError } from 'commander';
import { COMMANDS } from './commands.ts';
import { readVersion } from './version.ts';

/** Runs a command line without its first two words. Resolves with the exit code: 0, or 1 if anything failed. */
export async function run(argv: readonly string[]): Promise<number> {
  try {
    const program = await createProgram(argv);
    if (argv.length === 0) {
      program.outputHelp();
      return 0;
    }
    await program.parseAsync([...argv], { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // Commander has printed its own message.
    if (error instanceof CommanderError) return error.exitCode;
    const { report } = await import('./report.ts');
    report(error);
    return 1;
  }
}

const EXAMPLES = `
Examples:
  $ squad testnet                         a network of four sequencers and a rollup on this machine
  $ squad status                          how that network does
  $ squad keys new --name alice           keys of a validator
  $ squad sequencer --config node.yaml    one sequencer
  $ squad sequencer --help                all options of one command

Every option can also stand in the environment or in a YAML file given with --config; a flag wins over
the environment, the environment over the file.`;

export async function createProgram(argv: readonly string[]): Promise<Command> {
  const program = new Command('squad')
    .description('A decentralized sequencer network for rollups')
    .version(readVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help of a command')
    .addHelpText('after', EXAMPLES)
    .showHelpAfterError('(squad --help lists what there is)')
    .exitOverride();
  const wanted = commandIn(argv);
  for (const entry of COMMANDS) {
    const command = program
      .command(entry.name)
      .description(entry.summary)
      .helpOption('-h, --help', 'show help')
      .showHelpAfterError(`(squad ${entry.name} --help lists the options)`)
      .allowExcessArguments(false);
    command.exitOverride();
    if (entry.name === wanted) await (await entry.load()).define(command, argv);
  }
  return program;
}

/** The command that a command line names: its first word that is no flag, or what help is asked of. */
function commandIn(argv: readonly string[]): string | undefined {
  const words = argv.filter((word) => !word.startsWith('-'));
  return words[0] === 'help' ? words[1] : words[0];
}
