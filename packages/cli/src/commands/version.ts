/** `squad version` */

import type { Command } from 'commander';
import { readVersion } from '../version.ts';

export function define(command: Command): void {
  command.option('--json', 'print JSON').action((options: { json?: boolean }) => {
    const facts = {
      squad: readVersion(),
      node: process.versions.node,
      platform: `${process.platform}-${process.arch}`,
    };
    process.stdout.write(
      options.json ? `${JSON.stringify(facts)}\n` : `squad ${facts.squad} (Node ${facts.node}, ${facts.platform})\n`,
    );
  });
}
