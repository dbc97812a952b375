/** The way of a client's transaction into the own lane: taken once while it waits, and again once it is final. */

import { noMetrics } from '@squad/service';
import {
  type Block,
  type GenesisRollup,
  genesisBlock,
  MAX_TRANSACTION_BYTES,
  MAX_UNORDERED_BATCHES_PER_LANE,
  ok,
  toHex,
  ZERO_HASH,
} from '@squad/types';
import { expect, it, vi } from 'vitest';
import type { StoredBatch } from '../src/actor.ts';
import { Intake } from '../src/intake.ts';
import { Lane } from '../src/lane.ts';
import { createSequencerMetrics } from '../src/sequencer-metrics.ts';
import { Transactions } from '../src/transactions.ts';
import { MAX_LANE_WAITING_BYTES } from '../src/waiting-lines.ts';
import { createGenesis, keysOf, OTHER_ROLLUP, ROLLUP, ROLLUPS, refOf, transaction } from './support.ts';

const SELF = 0;
const genesis = createGenesis(1);

interface Start {
  readonly unordered?: number;
  readonly reasons?: readonly string[];
  readonly rollups?: readonly GenesisRollup[];
}

function createIntake(head: Start = {}) {
  let nowMs = 1_700_000_000_000;
  const stored: StoredBatch[] = [];
  const transactions = new Transactions(SELF);
  const { networkId } = genesis;
  const lane = new Lane(
    { networkId, epoch: 0, author: SELF, key: keysOf(SELF).node, batchBytes: 1024 },
    { nextSeq: 0, lastDigest: ZERO_HASH, unordered: head.unordered ?? 0 },
  );
  const intake = new Intake(
    {
      rollups: head.rollups ?? ROLLUPS,
      // A hash is a name here: the bytes will do.
      admission: {
        admit: async (_rollup, all) => all.map((raw) => ok({ hash: toHex(raw.subarray(0, 64)), evm: undefined })),
        waiting: 0,
        close: async () => {},
      },
      transactions,
      metrics: createSequencerMetrics(noMetrics),
      now: () => nowMs,
      batchAgeMs: 0,
      store: async (batches) => void stored.push(...batches),
      spread: () => {},
      notReadyReasons: () => head.reasons ?? [],
    },
    lane,
  );
  const finalize = (height: number) => {
    const block: Block = {
      header: { ...genesisBlock(networkId, 0).header, height },
      refs: stored.splice(0).map(refOf),
    };
    transactions.placed('final', block);
    intake.ordered(block.refs.length, block.refs.at(-1)?.seq ?? 0);
  };
  const later = (ms: number) => {
    nowMs += ms;
  };
  return { intake, lane, transactions, stored, finalize, later };
}

it('takes a transaction once while it waits, and again once it is final: its rollup may have skipped it', async () => {
  const { intake, transactions, stored, finalize } = createIntake();
  const raw = transaction(SELF, 1);
  const hash = toHex(raw);
  const accepted = { accepted: true, hash };
  const known = { accepted: false, rejection: { code: 'ALREADY_KNOWN' } };

  expect(await intake.submit(ROLLUP, [raw, raw])).toMatchObject([accepted, known]);
  expect(await intake.submit(ROLLUP, [raw])).toMatchObject([known]);
  finalize(1);
  const first = transactions.status(hash);
  expect(first).toMatchObject({ status: 'final', height: 1 });

  // Twice in one call, it would wait for an answer that never comes if both were taken.
  expect(await intake.submit(ROLLUP, [raw, raw])).toMatchObject([accepted, known]);
  expect(stored).toHaveLength(1);
  expect(await intake.submit(ROLLUP, [raw])).toMatchObject([known]);
  // What was final stays final, where it was first.
  expect(transactions.status(hash)).toEqual(first);
  finalize(2);
  expect(transactions.status(hash)).toEqual(first);
  expect(await intake.submit(ROLLUP, [raw])).toMatchObject([accepted]);
});

it('says where in the lane the accepted ones of a call stand, however many batches they fill', async () => {
  const { intake } = createIntake();
  const raws = Array.from({ length: 9 }, (_, i) => new Uint8Array(300).fill(i + 1));
  const told: unknown[] = [];
  await intake.submit(ROLLUP, [raws[0]!, raws[0]!, ...raws.slice(1)], (places) => told.push(places));
  // A batch holds three of them.
  expect(told).toEqual([[3, 3, 3].map((count, seq) => ({ seq, transactionIndex: 0, count }))]);
  const later = intake.submit(ROLLUP, [transaction(SELF, 1)], (places) => told.push(places));
  await intake.submit(ROLLUP, [transaction(SELF, 2)], (places) => told.push(places));
  await later;
  expect(told.slice(1)).toEqual([
    [{ seq: 3, transactionIndex: 0, count: 1 }],
    [{ seq: 3, transactionIndex: 1, count: 1 }],
  ]);
});

it('keeps of a call only what it takes: a transaction that waits does not hold the memory of those beside it', async () => {
  const { intake, lane } = createIntake({ unordered: MAX_UNORDERED_BATCHES_PER_LANE });
  const add = vi.spyOn(lane, 'add');
  const memory = new Uint8Array(900).map((_, i) => i % 251);
  const [a, b, c] = [0, 300, 600].map((start) => memory.subarray(start, start + 300)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  void intake.submit(ROLLUP, [a, b]);
  void intake.submit(ROLLUP, [a, c]); // the first is known
  await new Promise((resolve) => setImmediate(resolve));
  const added = add.mock.calls.map(([, , transaction]) => transaction);
  expect(added).toEqual([a, b, c]);
  expect(added.map(({ buffer }) => buffer.byteLength)).toEqual([900, 900, 300]);
});

it('does not take what others gossip once more', async () => {
  const { intake, stored, finalize } = createIntake();
  const raw = transaction(SELF, 1);
  await intake.submit(ROLLUP, [raw]);
  finalize(1);
  expect(intake.take(ROLLUP, toHex(raw), raw)).toBe(true);
  intake.seal();
  expect(stored).toEqual([]);
});

it('says that nothing is ordered once the lane is full, and takes what still finds room', async () => {
  const reasons = ['it reaches no quorum'];
  const full = createIntake({ unordered: MAX_UNORDERED_BATCHES_PER_LANE, reasons });
  expect(await full.intake.submit(ROLLUP, [transaction(SELF, 1)])).toMatchObject([
    { accepted: false, rejection: { code: 'NOT_READY', message: expect.stringContaining(reasons[0]!) } },
  ]);
  const room = createIntake({ unordered: MAX_UNORDERED_BATCHES_PER_LANE - 1, reasons });
  expect(await room.intake.submit(ROLLUP, [transaction(SELF, 1)])).toMatchObject([{ accepted: true }]);
});

it('lets a client wait while a full lane is ordered, whatever else is not ready for a moment', async () => {
  const { intake } = createIntake({ unordered: MAX_UNORDERED_BATCHES_PER_LANE, reasons: ['it looks for a block'] });
  intake.ordered(1, 0);
  expect(await intake.submit(ROLLUP, [transaction(SELF, 1)])).toMatchObject([{ accepted: true }]);
  const waiting = intake.submit(ROLLUP, [transaction(SELF, 2)]);
  const first = await Promise.race([waiting, new Promise((resolve) => setImmediate(() => resolve('still waiting')))]);
  expect(first).toBe('still waiting');
  intake.ordered(1, 0);
  expect(await waiting).toMatchObject([{ accepted: true }]);
});

it('tells a rollup that has filled its share of the lane so, and takes what others send', async () => {
  const { intake } = createIntake({ unordered: MAX_UNORDERED_BATCHES_PER_LANE });
  const count = MAX_LANE_WAITING_BYTES / 2 / MAX_TRANSACTION_BYTES;
  for (let i = 0; i < count; i++) void intake.submit(ROLLUP, [transaction(SELF, i, MAX_TRANSACTION_BYTES)]);
  await new Promise((resolve) => setImmediate(resolve));
  const [full] = await intake.submit(ROLLUP, [transaction(SELF, count)]);
  expect(full).toMatchObject({
    accepted: false,
    rejection: {
      code: 'LANE_FULL',
      message: expect.stringMatching(/^rollup 901 has 128 transactions, 16777216 bytes/),
    },
  });
  void intake.submit(OTHER_ROLLUP, [transaction(SELF, 1)]);
  await new Promise((resolve) => setImmediate(resolve));
  // It is the next but one to be sealed.
  intake.ordered(2, 1);
  expect(await intake.submit(OTHER_ROLLUP, [transaction(SELF, 1)])).toMatchObject([
    { rejection: { code: 'ALREADY_KNOWN' } },
  ]);
});

it('takes in of a rollup as many bytes a second as the genesis file says, and of others what they send', async () => {
  const rollups = [{ ...ROLLUPS[0]!, maxBytesPerSecond: 1_000, maxTransactionBytes: 500 }, ROLLUPS[1]!];
  const { intake, later } = createIntake({ rollups });
  const send = async (number: number, bytes: number, rollupId = ROLLUP) =>
    (await intake.submit(rollupId, [transaction(SELF, number, bytes)]))[0];
  expect(await send(1, 500)).toMatchObject({ accepted: true });
  expect(await send(2, 500)).toMatchObject({ accepted: true });
  expect(await send(3, 10)).toMatchObject({ rejection: { code: 'ROLLUP_RATE_EXCEEDED', retryAfterMs: 10 } });
  expect(await send(4, 500, OTHER_ROLLUP)).toMatchObject({ accepted: true });
  later(10);
  expect(await send(5, 10)).toMatchObject({ accepted: true });
  expect(await send(6, 5)).toMatchObject({ accepted: false });
  expect(intake.take(ROLLUP, '0x07', transaction(SELF, 7, 10))).toBe(false);
});

it('looks once more for what a bundle needs when its transactions are checked: others may have come in between', async () => {
  const rollups = [{ ...ROLLUPS[0]!, maxBytesPerSecond: 600, maxTransactionBytes: 500 }, ROLLUPS[1]!];
  const { intake, transactions } = createIntake({ rollups });
  const send = (number: number) =>
    intake.submitBundle([
      { rollupId: OTHER_ROLLUP, transaction: transaction(SELF, number) },
      { rollupId: ROLLUP, transaction: transaction(SELF, 100 + number, 500) },
    ]);
  const [first, second] = await Promise.all([send(1), send(2)]);
  expect(first).toMatchObject({ accepted: true });
  expect(second).toMatchObject({ accepted: false, index: 1, rejection: { code: 'ROLLUP_RATE_EXCEEDED' } });
  expect(transactions.has(toHex(transaction(SELF, 2)))).toBe(false);
});
