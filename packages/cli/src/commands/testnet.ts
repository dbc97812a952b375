/** `squad testnet`: a network of real processes on this machine, shown while it runs. */

import type { Command } from 'commander';
import { addOptions, readOptions } from '../options.ts';
import { testnetOptions } from '../testnet/options.ts';
import { runTestnet } from '../testnet/run.ts';

export function define(command: Command): void {
  addOptions(command, testnetOptions)
    .addHelpText(
      'after',
      `
Each process has its own folder with keys, configuration and log below --dir, and can be started by hand from there.
<dir>/testnet.json says what runs where, for scripts.

Examples:
  $ squad testnet                        4 sequencers and rollup 901 on http://127.0.0.1:8545
  $ squad testnet --nodes 7 --rollups 2  more of both
  $ squad testnet --reset                begin anew
  $ squad testnet --dir elsewhere --free-ports`,
    )
    .action(async () => {
      const options = readOptions(command, testnetOptions).values;
      process.exitCode = await runTestnet(options);
    });
}
