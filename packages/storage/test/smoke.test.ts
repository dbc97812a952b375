import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openMemoryNodeStore, openNodeStore } from '../src/index.ts';

it('works', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'squad-store-'));
  const open = () => openNodeStore({ directory, networkId: new Uint8Array(32) });
  let store = await open();
  const digest = `0x${'ab'.repeat(32)}` as const;
  const hash = `0x${'cd'.repeat(32)}` as const;
  const positions = store.appendTurn({
    consensus: [{ kind: 1, payload: Uint8Array.of(1) }],
    batches: [{ digest, bytes: new Uint8Array(10_000).fill(7) }],
    finals: [{ height: 1, hash, block: Uint8Array.of(5), certificate: Uint8Array.of(6), batchDigests: [digest] }],
  });
  expect(store.head).toBe(0);
  await store.sync();
  expect(store.head).toBe(1);
  await store.checkpoint(positions[0]!);
  await store.close();
  store = await open();
  expect(store.head).toBe(1);
  expect(await store.readBatch(digest)).toEqual(new Uint8Array(10_000).fill(7));
  expect(await store.readBlock(1)).toEqual({ height: 1, hash, block: Uint8Array.of(5), certificate: Uint8Array.of(6) });
  for await (const record of store.replayConsensus()) expect(record.position).toBe(positions[0]);
  await store.close();
  await rm(directory, { recursive: true });
  await (await openMemoryNodeStore()).close();
});
