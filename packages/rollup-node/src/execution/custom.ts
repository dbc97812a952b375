/**
 * A rollup team's own rules, as a module that the team writes and every node of its rollup is started with. It needs to import
 * nothing from here: what it may want is handed to it. It is trusted like the node's own code, and runs in its process.
 */

import { access } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SquadError } from '@squad/types';
import type { RollupFile } from '../config/rollup-file.ts';
import type { Executor } from './api.ts';
import { KeyValueExecutor, type KeyValueRules } from './key-value/executor.ts';

/** What the module is handed. */
export interface ExecutorContext {
  readonly file: RollupFile;
  /** Of the rollup's data; exists. */
  readonly directory: string;
  /** An executor for rules over keys and values: blocks, state roots, undoing and durable storage are its business. */
  keyValue(rules: KeyValueRules): Promise<KeyValueExecutor>;
}

/** What the module exports. */
export interface CustomRollup {
  /** `keyValue` of the context makes one; or an object of the team's own that keeps what `api.ts` requires. */
  createExecutor(context: ExecutorContext): Executor | Promise<Executor>;
  /**
   * JSON-RPC methods to serve, by their names, such as `book_orders`. Each gets its parameters by position, as they came from
   * anybody: it must check them, bound its work, and change nothing. What it throws becomes the error's message.
   */
  rpcMethods?(executor: never): Readonly<Record<string, (...params: unknown[]) => unknown>>;
}

/** Throws SquadError `EXECUTOR_UNREADABLE` or `EXECUTOR_UNFIT`. */
export async function loadCustomRollup(path: string): Promise<CustomRollup> {
  const absolute = resolve(path);
  let module: Record<string, unknown>;
  try {
    await access(absolute);
    module = await import(pathToFileURL(absolute).href);
  } catch (error) {
    throw new SquadError(
      'EXECUTOR_UNREADABLE',
      `the executor ${absolute} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
      'Name an ES module in plain JavaScript (.mjs) with --executor, and try `node FILE` on it.',
      { path: absolute },
      error,
    );
  }
  return checkCustomRollup(module, absolute);
}

function checkCustomRollup(module: Record<string, unknown>, path: string): CustomRollup {
  const { createExecutor, rpcMethods } = module;
  if (typeof createExecutor !== 'function') throw unfit(`${path} exports no function createExecutor`);
  if (rpcMethods !== undefined && typeof rpcMethods !== 'function') {
    throw unfit(`${path} exports rpcMethods, which is no function`);
  }
  return module as unknown as CustomRollup;
}

const FUNCTIONS = ['begin', 'execute', 'seal', 'rollback', 'commit', 'close'] as const;

/** Throws SquadError `EXECUTOR_UNFIT`, and what the team's code throws. */
export async function openCustomExecutor(
  { createExecutor }: CustomRollup,
  file: RollupFile,
  directory: string,
): Promise<Executor> {
  const keyValue = (rules: KeyValueRules) => {
    if (typeof rules !== 'function') throw unfit('keyValue was given no function');
    return KeyValueExecutor.open(file, directory, rules);
  };
  const executor: Partial<Executor> | undefined = await createExecutor({ file, directory, keyValue });
  const lacks = FUNCTIONS.filter((name) => typeof executor?.[name] !== 'function');
  if (lacks.length > 0) throw unfit(`createExecutor returned no executor: it lacks ${lacks.join(', ')}`);
  if (executor?.kind !== 'custom') throw unfit('the executor’s kind is not "custom"');
  for (const name of ['latest', 'head'] as const) {
    if (!Number.isSafeInteger(executor[name]?.number)) throw unfit(`the executor’s ${name} is no block summary`);
  }
  return executor as Executor;
}

function unfit(what: string): SquadError {
  return new SquadError(
    'EXECUTOR_UNFIT',
    what,
    'See "Any other rollup" in docs/rollup-teams.md, and examples/order-book for one that works.',
  );
}
