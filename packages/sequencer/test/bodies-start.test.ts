/** Bodies of final blocks when finality goes on while the node starts: none may be left out. */

import { sha256 } from '@squad/crypto/node';
import { silentLogger } from '@squad/service';
import { type NodeStore, openMemoryNodeStore } from '@squad/storage';
import {
  type BatchRef,
  Block,
  batchDigest,
  blockHashHex,
  encodeBatch,
  encodeBody,
  genesisBlock,
  type Height,
  toHex,
} from '@squad/types';
import { expect, it, onTestFinished, vi } from 'vitest';
import { Bodies, MAX_BLOCKS_PER_BODY_RUN } from '../src/bodies.ts';

const NETWORK_ID = new Uint8Array(32);
const ROLLUP = 901;

const transactionOf = (height: Height) => new TextEncoder().encode(`transaction of block ${height}`);

/** Makes final blocks `from` to `to` durable, each with one batch of one transaction. */
async function finalize(store: NodeStore, from: number, to: number): Promise<void> {
  for (let height: number = from; height <= to; height++) {
    const body = encodeBody([transactionOf(height)]);
    const header = {
      networkId: NETWORK_ID,
      epoch: 0,
      author: 0,
      seq: height,
      previousDigest: new Uint8Array(32),
      rollupId: ROLLUP,
      bodyRoot: sha256(body),
      byteLength: body.length,
      transactionCount: 1,
      createdAtMs: 0,
      joinsNext: false,
    };
    const digest = batchDigest(header);
    const ref: BatchRef = { author: 0, seq: height, rollupId: ROLLUP, digest, joinsNext: false };
    const genesis = genesisBlock(NETWORK_ID, 0);
    const block: Block = { header: { ...genesis.header, height, view: height }, refs: [ref] };
    store.appendTurn({
      batches: [
        { digest: toHex(digest), bytes: encodeBatch({ signed: { header, signature: new Uint8Array(64) }, body }) },
      ],
      finals: [
        {
          height,
          hash: blockHashHex(block.header),
          block: Block.serialize(block),
          certificate: undefined,
          batchDigests: [toHex(digest)],
        },
      ],
    });
  }
  await store.sync();
}

function bodiesOf(store: NodeStore, onComplete: (height: Height) => void = () => {}): Bodies {
  const bodies = new Bodies({
    store,
    fetcher: { fetch: () => Promise.resolve() },
    onComplete,
    logger: silentLogger,
  });
  onTestFinished(() => bodies.stop());
  return bodies;
}

/** How many promise turns pass between the start and the block is what the loop varies: any of them must do. */
it.each([0, 1, 2, 3, 4, 5, 6, 8, 10])(
  'skips no block when one becomes final while the node starts (%i turns before the start)',
  async (turns) => {
    const noted = 40;
    const head = noted + 3 * MAX_BLOCKS_PER_BODY_RUN;
    const store = await openMemoryNodeStore();
    await finalize(store, 1, noted);
    const before = bodiesOf(store);
    await before.start();
    await vi.waitFor(() => expect(before.complete).toBe(noted));
    await before.stop();
    await finalize(store, noted + 1, head);

    const completed: Height[] = [];
    const after = bodiesOf(store, (height) => completed.push(height));
    after.onFinal(head);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    await after.start();
    await vi.waitFor(() => expect(after.complete).toBe(head));

    expect(completed).toEqual([0, 1, 2, 3].map((runs) => noted + runs * MAX_BLOCKS_PER_BODY_RUN));
  },
);
