/**
 * What an append with its sync costs, against a bare write and fdatasync of the same bytes on the same disk.
 * Run: `node --conditions=source packages/storage/bench/append.ts`
 */

import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLog, openNodeStore } from '../src/index.ts';

const ROUNDS = 400;

/** Median milliseconds of one call. */
async function median(run: (round: number) => Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    await run(round);
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[ROUNDS >> 1]!;
}

function report(what: string, ms: number, bare: number): void {
  process.stdout.write(`${what.padEnd(34)} ${ms.toFixed(3)} ms  ${(ms / bare).toFixed(2)} x bare\n`);
}

const directory = await mkdtemp(join(tmpdir(), 'squad-bench-'));
for (const byteLength of [200, 256 * 1024]) {
  const payload = new Uint8Array(byteLength).map((_, i) => (i * 31) & 0xff);

  const handle = await open(join(directory, 'bare'), 'w');
  let offset = 0;
  const bare = await median(async () => {
    await handle.write(payload, 0, byteLength, offset);
    offset += byteLength;
    await handle.datasync();
  });
  await handle.close();
  report(`${byteLength} B, bare write + fdatasync`, bare, bare);

  const log = await openLog({ directory: join(directory, `log-${byteLength}`) });
  const viaLog = await median(async () => {
    log.append([{ kind: 1, payload }]);
    await log.sync();
  });
  await log.close();
  report(`${byteLength} B, Log.append + sync`, viaLog, bare);

  const store = await openNodeStore({
    directory: join(directory, `store-${byteLength}`),
    networkId: new Uint8Array(32),
  });
  const viaStore = await median(async (round) => {
    const digest = `0x${round.toString(16).padStart(64, '0')}` as const;
    store.appendTurn({
      consensus: [{ kind: 1, payload: payload.subarray(0, 200) }],
      batches: [{ digest, bytes: payload }],
    });
    await store.sync();
  });
  await store.close();
  report(`${byteLength} B, NodeStore turn + sync`, viaStore, bare);
}
await rm(directory, { recursive: true });
