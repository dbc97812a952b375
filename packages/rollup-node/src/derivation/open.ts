/** Opens a rollup: its file and a directory in, what derives and what reads it out. */

import { mkdir } from 'node:fs/promises';
import type { RollupFile } from '../config/rollup-file.ts';
import { EvmExecutor } from '../execution/evm/executor.ts';
import { LedgerExecutor } from '../execution/ledger/executor.ts';
import type { Derivation } from './api.ts';
import { SequenceDerivation } from './derivation.ts';
import { DerivationEvents } from './events.ts';
import { SkippedTransactions } from './skipped.ts';

/** One rollup, open. `derivation.close()` closes all of it. */
export interface Rollup {
  readonly file: RollupFile;
  readonly derivation: Derivation;
  readonly executor: EvmExecutor | LedgerExecutor;
  readonly events: DerivationEvents;
  readonly skipped: SkippedTransactions;
}

/** Throws SquadError `ROLLUP_STORE_LOCKED`, `ROLLUP_STORE_MISMATCH` or `ROLLUP_STORE_UNREADABLE`. */
export async function openRollup(file: RollupFile, directory: string): Promise<Rollup> {
  await mkdir(directory, { recursive: true });
  const executor =
    file.executor === 'evm' ? await EvmExecutor.open(file, directory) : await LedgerExecutor.open(file, directory);
  const events = new DerivationEvents();
  const skipped = new SkippedTransactions();
  const { genesisTimeMs, blockTimeMs } = file;
  const derivation = new SequenceDerivation({ executor, genesisTimeMs, blockTimeMs, events, skipped });
  return { file, derivation, executor, events, skipped };
}
