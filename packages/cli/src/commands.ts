/** Every command: what it is called, what it is for, and where its code is. */

import type { Command } from 'commander';

export interface CommandModule {
  /** Adds options, arguments, examples and the action. `argv`: the whole command line. */
  define(command: Command, argv: readonly string[]): void | Promise<void>;
}

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<CommandModule>;
}

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'testnet',
    summary: 'run a network of real processes on this machine',
    load: () => import('./commands/testnet.ts'),
  },
  {
    name: 'status',
    summary: 'show how nodes do, in a table or as JSON',
    load: () => import('./commands/status.ts'),
  },
  {
    name: 'evidence',
    summary: 'list what proves that validators signed what they must not, and verify it',
    load: () => import('./commands/evidence.ts'),
  },
  {
    name: 'checkpoint',
    summary: 'write the newest final block of a node to a file that another node can begin at',
    load: () => import('./commands/checkpoint.ts'),
  },
  {
    name: 'bundle',
    summary: 'send transactions of several rollups that are ordered together or not at all',
    load: () => import('./commands/bundle.ts'),
  },
  {
    name: 'receipt',
    summary: 'get proof of where a transaction was ordered, and verify it off-line',
    load: () => import('./commands/receipt.ts'),
  },
  {
    name: 'keys',
    summary: 'make and show the keys of a validator',
    load: () => import('./commands/keys.ts'),
  },
  {
    name: 'init',
    summary: "write a network's genesis file from its validators' public data",
    load: () => import('./commands/init.ts'),
  },
  {
    name: 'schedule',
    summary: 'write down who validates from a later epoch on',
    load: () => import('./commands/schedule.ts'),
  },
  {
    name: 'sequencer',
    summary: 'run a sequencer',
    load: () => import('./commands/sequencer.ts'),
  },
  {
    name: 'rollup-node',
    summary: 'run a rollup node: follow, verify, execute, serve eth_*',
    load: () => import('./commands/rollup-node.ts'),
  },
  {
    name: 'rollup-genesis',
    summary: "write a rollup's genesis file for an Ethereum execution client",
    load: () => import('./commands/rollup-genesis.ts'),
  },
  {
    name: 'show-config',
    summary: 'print the effective value of each option and where it came from',
    load: () => import('./commands/show-config.ts'),
  },
  {
    name: 'version',
    summary: 'print the versions of SQUAD, Node and this platform',
    load: () => import('./commands/version.ts'),
  },
];
