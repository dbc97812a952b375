/**
 * What an append with its sync costs, against a bare write and fdatasync of the same bytes on the same disk. The three
 * take turns, so that what else the machine does hits all alike.
 * Run: `node --conditions=source packages/storage/bench/append.ts [folder on the disk to measure]`
 */

import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLog, openNodeStore } from '../src/index.ts';

const ROUNDS = 400;

async function measure(directory: string, byteLength: number): Promise<void> {
  const payload = new Uint8Array(byteLength).map((_, i) => (i * 31) & 0xff);
  const handle = await open(join(directory, 'bare'), 'w');
  const log = await openLog({ directory: join(directory, 'log') });
  const store = await openNodeStore({ directory: join(directory, 'store'), networkId: new Uint8Array(32) });
  const contenders: [string, (round: number) => Promise<void>][] = [
    [
      'bare write + fdatasync',
      async (round) => {
        await handle.write(payload, 0, byteLength, round * byteLength);
        await handle.datasync();
      },
    ],
    [
      'Log.append + sync',
      async () => {
        log.append([{ kind: 1, payload }]);
        await log.sync();
      },
    ],
    [
      'NodeStore.appendTurn + sync',
      async (round) => {
        const digest = `0x${round.toString(16).padStart(64, '0')}` as const;
        store.appendTurn({ batches: [{ digest, bytes: payload }] });
        await store.sync();
      },
    ],
  ];
  const times = contenders.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, [, run]] of contenders.entries()) {
      const start = performance.now();
      await run(round);
      times[i]!.push(performance.now() - start);
    }
  }
  await Promise.all([handle.close(), log.close(), store.close()]);
  const medians = times.map((all) => all.sort((a, b) => a - b)[ROUNDS >> 1]!);
  for (const [i, [what]] of contenders.entries()) {
    const ratio = (medians[i]! / medians[0]!).toFixed(2);
    process.stdout.write(
      `${String(byteLength).padStart(7)} B  ${what.padEnd(28)} ${medians[i]!.toFixed(3)} ms  ${ratio} x\n`,
    );
  }
}

for (const byteLength of [200, 256 * 1024]) {
  const directory = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'squad-bench-'));
  await measure(directory, byteLength);
  await rm(directory, { recursive: true });
}
