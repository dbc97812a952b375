/**
 * What a durable write costs, against a bare write and fdatasync of the same bytes on the same disk. Wall time:
 * waiting for the disk is the cost.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLog, openNodeStore } from '@squad/storage';
import type { MicroSuite } from './suite.ts';

export async function disk(suite: MicroSuite): Promise<void> {
  for (const [size, byteLength] of [
    ['200', 200],
    ['128k', 128 * 1024],
  ] as const) {
    const directory = mkdtempSync(join(tmpdir(), 'squad-bench-'));
    const payload = new Uint8Array(byteLength).map((_, i) => (i * 31) & 0xff);
    const handle = await open(join(directory, 'bare'), 'w');
    const log = await openLog({ directory: join(directory, 'log') });
    const store = await openNodeStore({ directory: join(directory, 'store'), networkId: new Uint8Array(32) });
    await suite.time(
      `disk-bare-${size}`,
      1,
      async (round) => {
        await handle.write(payload, 0, byteLength, round * byteLength);
        await handle.datasync();
      },
      'wall',
    );
    await suite.time(
      `wal-append-sync-${size}`,
      1,
      async () => {
        log.append([{ kind: 1, payload }]);
        await log.sync();
      },
      'wall',
    );
    await suite.time(
      `store-batch-${size}`,
      1,
      async (round) => {
        const digest = `0x${round.toString(16).padStart(64, '0')}` as const;
        store.appendTurn({ batches: [{ digest, bytes: payload }] });
        await store.sync();
      },
      'wall',
    );
    await Promise.all([handle.close(), log.close(), store.close()]);
    rmSync(directory, { recursive: true });
  }
}
