/**
 * Measures how fast contracts run: gas a second of tight loops that do arithmetic, hash, and write storage.
 * `node --conditions=source bench/gas.ts [gas]`
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromHex } from '@squad/types';
import { developmentRollup } from '../src/config/rollup-file.ts';
import { EvmExecutor } from '../src/execution/evm/executor.ts';
import { EvmHistory } from '../src/execution/evm/history.ts';
import { EvmReader } from '../src/execution/evm/reader.ts';
import { assemble } from '../test/support/contracts.ts';

const gas = BigInt(process.argv[2] ?? 10_000_000);
const LOOPS = {
  arithmetic: 'again: 3 4 ADD POP @again JUMP',
  hash: 'again: 32 PUSH0 SHA3 POP @again JUMP',
  storage: 'again: GAS GAS SSTORE @again JUMP',
  calls: 'again: PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 4 GAS CALL POP @again JUMP',
};
const address = (index: number) => `0x${(0xc0de00 + index).toString(16).padStart(40, '0')}`;
const alloc = Object.fromEntries(
  Object.values(LOOPS).map((source, index) => [address(index), { balance: '0', nonce: 1, code: assemble(source) }]),
);
const directory = mkdtempSync(join(tmpdir(), 'squad-bench-'));
const executor = await EvmExecutor.open(developmentRollup({ rollupId: 901, genesisTimeMs: 0, alloc }), directory);
const reader = new EvmReader(executor);
const block = new EvmHistory(executor).blockAt(0)!;
for (const [index, name] of Object.keys(LOOPS).entries()) {
  const call = () =>
    reader.call({ from: new Uint8Array(20), to: fromHex(address(index)), gas }, block, { gasCap: gas });
  await call();
  const mark = performance.now();
  await call();
  const seconds = (performance.now() - mark) / 1000;
  console.log(`${name}: ${(Number(gas) / seconds / 1e6).toFixed(0)} million gas a second`);
}
await executor.close();
rmSync(directory, { recursive: true });
