/**
 * Measures the processor time, over all threads, that a plain transfer costs: decoding, sender recovery, execution, and its
 * share of sealing and of the durable write. `node --conditions=source bench/transfers.ts [transactions] [recipients]`
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { developmentRollup } from '../src/config/rollup-file.ts';
import { EvmExecutor } from '../src/execution/evm/executor.ts';
import { signTransfers } from '../test/support/transactions.ts';

const count = Number(process.argv[2] ?? 5000);
const recipients = Number(process.argv[3] ?? count);
const perBlock = 1000;
const directory = mkdtempSync(join(tmpdir(), 'squad-bench-'));
const file = developmentRollup({ rollupId: 901, genesisTimeMs: 1_700_000_000_000, gasLimit: 1_000_000_000 });
const executor = await EvmExecutor.open(file, directory);
const transfers = signTransfers(901, count, recipients);
const spent = { execute: 0, seal: 0, commit: 0 };
/** Milliseconds. */
const cpuTime = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
for (let from = 0, slot = 0; from < count; from += perBlock, slot++) {
  await executor.begin({ slot, timestampSeconds: 1_700_000_001 + slot, randomness: new Uint8Array(32) });
  let mark = cpuTime();
  for (const raw of transfers.slice(from, from + perBlock)) {
    const outcome = await executor.execute(raw);
    if (outcome.status !== 'executed') throw new Error(JSON.stringify(outcome));
  }
  spent.execute += cpuTime() - mark;
  mark = cpuTime();
  const sealed = await executor.seal();
  spent.seal += cpuTime() - mark;
  mark = cpuTime();
  await executor.commit(sealed!.number, { height: slot + 1, hash: new Uint8Array(32), timestampMs: 0 });
  spent.commit += cpuTime() - mark;
}
await executor.close();
rmSync(directory, { recursive: true });
const microseconds = (milliseconds: number) => `${((milliseconds * 1000) / count).toFixed(0)} µs`;
const total = spent.execute + spent.seal + spent.commit;
console.log(`${count} transfers to ${recipients} recipients, ${perBlock} a block, per transfer:`);
console.log(
  `  execute ${microseconds(spent.execute)}, seal ${microseconds(spent.seal)}, commit ${microseconds(spent.commit)}`,
);
console.log(`  in all ${microseconds(total)}, ${((count * 1000) / total).toFixed(0)} for each second of it`);
