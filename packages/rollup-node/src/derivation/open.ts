/** Opens a rollup: its file and a directory in, what derives and what reads it out. */

import { mkdir } from 'node:fs/promises';
import { SquadError } from '@squad/types';
import type { RollupFile } from '../config/rollup-file.ts';
import type { Executor } from '../execution/api.ts';
import { type CustomRollup, openCustomExecutor } from '../execution/custom.ts';
import { EvmExecutor } from '../execution/evm/executor.ts';
import { KeyValueExecutor } from '../execution/key-value/executor.ts';
import { ledgerRules } from '../execution/ledger/rules.ts';
import { NitroExecutor } from '../stacks/nitro/executor.ts';
import { type L1Source, OpExecutor } from '../stacks/op/executor.ts';
import type { Derivation } from './api.ts';
import { SequenceDerivation } from './derivation.ts';
import { DerivationEvents } from './events.ts';
import { SkippedTransactions } from './skipped.ts';

/** One rollup, open. `derivation.close()` closes all of it. */
export interface Rollup {
  readonly file: RollupFile;
  readonly derivation: Derivation;
  readonly executor: Executor;
  readonly events: DerivationEvents;
  readonly skipped: SkippedTransactions;
}

/**
 * `custom`: the executor of a rollup file that says so. `l1`: of one that follows L1. Throws SquadError `ROLLUP_STORE_LOCKED`,
 * `ROLLUP_STORE_MISMATCH`, `ROLLUP_STORE_UNREADABLE`, `EXECUTOR_MISSING`, `EXECUTOR_NOT_ASKED_FOR`, `EXECUTOR_UNFIT` or
 * `L1_RPC_MISSING`.
 */
export async function openRollup(
  file: RollupFile,
  directory: string,
  custom?: CustomRollup,
  l1?: L1Source,
): Promise<Rollup> {
  await mkdir(directory, { recursive: true });
  const executor = await openExecutor(file, directory, custom, l1);
  const events = new DerivationEvents();
  const skipped = new SkippedTransactions();
  const { genesisTimeMs, blockTimeMs } = file;
  const derivation = new SequenceDerivation({ executor, genesisTimeMs, blockTimeMs, events, skipped });
  return { file, derivation, executor, events, skipped };
}

function openExecutor(
  file: RollupFile,
  directory: string,
  custom: CustomRollup | undefined,
  l1: L1Source | undefined,
): Promise<Executor> {
  if (custom !== undefined && file.executor !== 'custom') throw notAskedFor(file);
  if (file.executor === 'evm') return EvmExecutor.open(file, directory);
  if (file.executor === 'nitro') return NitroExecutor.open(file, directory);
  if (file.executor === 'op') return OpExecutor.open(file, directory, l1);
  if (file.executor === 'ledger') return KeyValueExecutor.open(file, directory, ledgerRules);
  if (custom === undefined) throw missing(file);
  return openCustomExecutor(custom, file, directory);
}

function missing({ name }: RollupFile): SquadError {
  return new SquadError(
    'EXECUTOR_MISSING',
    `the rollup file of "${name}" says "executor": "custom", and no executor is given`,
    "Name the module with the rollup's rules: --executor FILE.",
  );
}

function notAskedFor({ name, executor }: RollupFile): SquadError {
  return new SquadError(
    'EXECUTOR_NOT_ASKED_FOR',
    `an executor is given, and the rollup file of "${name}" says "executor": "${executor}"`,
    'Leave --executor out, or use the rollup file of the rollup with "executor": "custom".',
  );
}
