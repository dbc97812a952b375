/** One sequencer and its clients: when it accepts, what it promises, what it remembers over a restart. */

import { keccak256 } from '@squad/crypto/node';
import { MemoryLog } from '@squad/storage';
import { type TransactionHash, toHex } from '@squad/types';
import { afterEach, expect, it } from 'vitest';
import { CHECKPOINT_INTERVAL_BLOCKS } from '../src/actor.ts';
import { findTransaction } from '../src/transaction-lookup.ts';
import { Cluster, ROLLUP, type TestNode, transaction, until } from './support.ts';

let cluster: Cluster;
afterEach(() => cluster.close());

const hashOf = (raw: Uint8Array): TransactionHash => toHex(keccak256(raw));

/** A log whose syncs wait while it is held. */
class SlowLog extends MemoryLog {
  waiting = 0;
  #release: (() => void) | undefined;
  #held: Promise<void> | undefined;

  hold(): void {
    this.#held = new Promise((resolve) => {
      this.#release = resolve;
    });
  }
  release(): void {
    this.#release?.();
    this.#held = undefined;
  }
  override async sync(): Promise<void> {
    if (this.#held) {
      this.waiting++;
      await this.#held;
    }
    await super.sync();
  }
}

/** A log that takes a turn of the event loop to sync, as a disk does: a validator that is alone would leave no other a turn. */
class YieldingLog extends MemoryLog {
  override async sync(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    await super.sync();
  }
}

it('accepts nothing before it is started', async () => {
  cluster = new Cluster();
  const [node] = cluster.nodes as [TestNode];
  await node.open();
  const outcomes = await node.submit([transaction(0, 1)]);
  expect(outcomes).toMatchObject([{ accepted: false, rejection: { code: 'NOT_READY' } }]);
  expect(node.sequencer.notReadyReasons()).toEqual(['it is starting']);
  await node.start();
  expect(await node.submit([transaction(0, 1)])).toMatchObject([{ accepted: true }]);
});

it('answers a client, and spreads the batch, only once it is durable', async () => {
  cluster = new Cluster();
  const log = new SlowLog();
  const [node, other] = cluster.nodes as [TestNode, TestNode];
  node.log = log;
  await cluster.start([0, 1]);
  log.hold();
  let answered = false;
  const submitting = node.submit([transaction(0, 1)]).then((outcomes) => {
    answered = true;
    return outcomes;
  });
  await until('the sync that waits', () => log.waiting > 0);
  await new Promise((resolve) => setTimeout(resolve, 30)); // nothing happens: there is nothing to await
  expect([answered, other.sequencer.lanes.firstAt(0, 0)]).toEqual([false, undefined]);
  expect(node.sequencer.transactions.status(hashOf(transaction(0, 1)))).toEqual({
    status: 'pending',
    rollupId: ROLLUP,
  });
  log.release();
  expect(await submitting).toEqual([{ accepted: true, hash: hashOf(transaction(0, 1)) }]);
  await until('the batch', () => other.sequencer.lanes.firstAt(0, 0) !== undefined);
});

it('what was accepted survives a crash; what was not answered may be gone', async () => {
  cluster = new Cluster();
  const log = new SlowLog();
  const [node] = cluster.nodes as [TestNode];
  node.log = log;
  await node.start();
  await node.submit([transaction(0, 1), transaction(0, 2)]);
  log.hold();
  void node.submit([transaction(0, 3)]);
  await until('the sync that waits', () => log.waiting > 0);
  await node.crash();
  await node.start();
  const { transactions } = node.sequencer;
  for (const number of [1, 2]) {
    expect(transactions.status(hashOf(transaction(0, number)))).toEqual({ status: 'pending', rollupId: ROLLUP });
  }
  expect(transactions.status(hashOf(transaction(0, 3)))).toBeUndefined();
  const again = await node.submit([transaction(0, 1), transaction(0, 3)]);
  expect(again).toMatchObject([{ accepted: false, rejection: { code: 'ALREADY_KNOWN' } }, { accepted: true }]);
  await cluster.start([1, 2, 3]);
  await until('all of them to be final', () =>
    [1, 2, 3].every((number) => transactions.status(hashOf(transaction(0, number)))?.status === 'final'),
  );
  await until('their bodies', () => node.sequencer.bodies.complete === node.height);
  expect(await node.transactions()).toEqual([1, 2, 3].map((number) => toHex(transaction(0, number))));
});

it('a listener that fails stops nothing', async () => {
  cluster = new Cluster();
  await cluster.start();
  const [node] = cluster.nodes as [TestNode];
  node.sequencer.listen(() => {
    throw new Error('a subscriber went away');
  });
  await node.submit([transaction(0, 1)]);
  await until('finality', () => node.sequencer.transactions.status(hashOf(transaction(0, 1)))?.status === 'final');
  expect(node.failures).toEqual([]);
});

it('starts from a checkpoint, and goes on with lane and votes', { timeout: 60_000 }, async () => {
  cluster = new Cluster({ validators: 1, heartbeatMs: 1 });
  const [node] = cluster.nodes as [TestNode];
  node.log = new YieldingLog();
  await cluster.start();
  await node.submit([transaction(0, 1)]);
  await until('a checkpoint', () => node.height > CHECKPOINT_INTERVAL_BLOCKS + 5, 50_000);
  await node.stop();
  const { height } = node;
  await node.open();
  let records = 0;
  for await (const _ of node.store.replayConsensus()) records++;
  // Each block has several: from the beginning it would be thousands.
  expect(records).toBeLessThan(CHECKPOINT_INTERVAL_BLOCKS);
  expect(node.height).toBe(height);
  // The lane goes on after the batch of before.
  expect(node.sequencer.lanes.head(0)).toMatchObject({ nextSeq: 1, unordered: 0 });
  expect(await findTransaction(node.store, toHex(keccak256(transaction(0, 1))))).toMatchObject({
    batchIndex: 0,
    transactionIndex: 0,
    ref: { author: 0, seq: 0 },
  });
});
