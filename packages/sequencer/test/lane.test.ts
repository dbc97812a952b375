/** The own lane: what it seals, when, in which order, and where it says that it is full (R1, R2). */

import { verifyBatch } from '@squad/crypto/node';
import {
  type Batch,
  bodyTransactions,
  decodeBatch,
  encodeBatch,
  MAX_BATCH_TRANSACTIONS,
  MAX_BUNDLE_BATCHES,
  MAX_TRANSACTION_BYTES,
  MAX_UNORDERED_BATCHES_PER_LANE,
  toHex,
  ZERO_HASH,
} from '@squad/types';
import { describe, expect, it } from 'vitest';
import { type BundleMember, Lane, MAX_LANE_BYTES_IN_FLIGHT, type SealedBatch } from '../src/lane.ts';
import { MAX_LANE_WAITING_BYTES, MAX_LANE_WAITING_TRANSACTIONS } from '../src/waiting-lines.ts';
import { createGenesis, keysOf, OTHER_ROLLUP, ROLLUP, transaction } from './support.ts';

const genesis = createGenesis(1);
const NOW_MS = 1_700_000_123_000;
const FRESH = { nextSeq: 0, lastDigest: ZERO_HASH, unordered: 0 };

function createLane(batchBytes = 1000, head = FRESH): Lane {
  return new Lane({ networkId: genesis.networkId, epoch: 0, author: 0, key: keysOf(0).node, batchBytes }, head);
}

function add(lane: Lane, count: number, rollupId = ROLLUP, byteLength = 96, first = 0): string[] {
  const hashes: string[] = [];
  for (let i = first; i < first + count; i++) {
    const raw = transaction(rollupId % 7, i, byteLength);
    const hash = toHex(raw.subarray(0, 200)); // short: it only has to tell them apart
    lane.add(rollupId, hash, raw);
    hashes.push(hash);
  }
  return hashes;
}

const contentOf = ({ body }: Batch) => bodyTransactions(body).map(toHex);

describe('sealing', () => {
  it('fills batches up to the size, keeps the order, and drops nothing', () => {
    const lane = createLane(1000);
    const hashes = add(lane, 95); // 100 bytes each with the length before it: 10 a batch
    const sealed = lane.seal(NOW_MS);
    expect(sealed.map(({ hashes: of }) => of.length)).toEqual([...Array(9).fill(10), 5]);
    expect(sealed.flatMap(({ hashes: of }) => of)).toEqual(hashes);
    expect(sealed.flatMap(({ batch }) => contentOf(batch))).toEqual(hashes);
    expect(lane.waitingTransactions).toBe(0);
    expect(lane.seal(NOW_MS)).toEqual([]);
  });

  it('makes batches that every other node takes', () => {
    const lane = createLane();
    add(lane, 25);
    for (const { batch, digest } of lane.seal(NOW_MS)) {
      const decoded = decodeBatch(encodeBatch(batch));
      expect(decoded.ok).toBe(true);
      const checked = verifyBatch(batch, keysOf(0).node.publicKey, genesis.networkId);
      expect(checked).toEqual({ ok: true, value: { digest } });
      expect(batch.signed.header).toMatchObject({ rollupId: ROLLUP, createdAtMs: NOW_MS, author: 0, epoch: 0 });
    }
  });

  it('chains each batch to the one before it, over calls and from where an earlier run ended', () => {
    const last = new Uint8Array(32).fill(9);
    const lane = createLane(1000, { nextSeq: 41, lastDigest: last, unordered: 3 });
    add(lane, 20);
    const first = lane.seal(NOW_MS);
    add(lane, 5, ROLLUP, 96, 20);
    const headers = [...first, ...lane.seal(NOW_MS)];
    expect(headers.map(({ batch }) => batch.signed.header.seq)).toEqual([41, 42, 43]);
    expect(headers.map(({ batch }) => batch.signed.header.previousDigest)).toEqual([
      last,
      headers[0]!.digest,
      headers[1]!.digest,
    ]);
    expect(lane.unordered).toBe(6);
  });

  it('is worth it at the size, not before, while something is on its way', () => {
    const lane = createLane(192);
    add(lane, 1);
    lane.seal(NOW_MS);
    add(lane, 1, ROLLUP, 96, 1);
    expect(lane.isWorthSealing).toBe(false);
    add(lane, 1, ROLLUP, 96, 2);
    expect(lane.isWorthSealing).toBe(true);
    lane.seal(NOW_MS);
    expect(lane.isWorthSealing).toBe(false);
  });

  it('is worth it at once when a quorum holds, or a block orders, all that was sealed', () => {
    const lane = createLane(192);
    add(lane, 1);
    expect(lane.isWorthSealing).toBe(true);
    const sealOne = () => lane.seal(NOW_MS)[0]!.batch.signed.header.seq;
    const first = sealOne();
    add(lane, 1, ROLLUP, 96, 1);
    lane.acknowledged(first);
    expect(lane.isWorthSealing).toBe(true);
    const second = sealOne();
    add(lane, 1, ROLLUP, 96, 2);
    expect(lane.isWorthSealing).toBe(false);
    lane.ordered(2, second);
    expect(lane.isWorthSealing).toBe(true);
  });

  it('takes a transaction that is larger than the size, alone', () => {
    const lane = createLane(1024);
    add(lane, 1);
    add(lane, 1, ROLLUP, MAX_TRANSACTION_BYTES, 1);
    add(lane, 1, ROLLUP, 96, 2);
    expect(lane.seal(NOW_MS).map(({ hashes }) => hashes.length)).toEqual([1, 1, 1]);
  });

  it('puts no more transactions into a batch than one may have', () => {
    const lane = createLane(512 * 1024);
    add(lane, MAX_BATCH_TRANSACTIONS + 1, ROLLUP, 5);
    expect(lane.seal(NOW_MS).map(({ hashes }) => hashes.length)).toEqual([MAX_BATCH_TRANSACTIONS, 1]);
  });
});

describe('the lane’s limit', () => {
  it('is 64 unordered batches: the rest waits until some are ordered', () => {
    const lane = createLane(100);
    const hashes = add(lane, 70);
    expect(lane.seal(NOW_MS)).toHaveLength(MAX_UNORDERED_BATCHES_PER_LANE);
    expect(lane.waitingTransactions).toBe(6);
    expect(lane.seal(NOW_MS)).toEqual([]);
    lane.ordered(4, 0);
    expect(lane.seal(NOW_MS).flatMap(({ hashes: of }) => of)).toEqual(hashes.slice(64, 68));
    lane.ordered(64, 0);
    expect(lane.seal(NOW_MS).flatMap(({ hashes: of }) => of)).toEqual(hashes.slice(68));
    expect(lane.unordered).toBe(2);
  });

  it('is also a number of bytes that no quorum holds yet: the rest waits until some are acknowledged, or ordered', () => {
    const lane = createLane(MAX_LANE_BYTES_IN_FLIGHT / 4);
    const perBatch = 7;
    const bytes = MAX_LANE_BYTES_IN_FLIGHT / 4 / perBatch - 4;
    add(lane, 6 * perBatch, ROLLUP, Math.floor(bytes));
    // The one that crosses the limit is the last.
    const [, , , , ...none] = lane.seal(NOW_MS);
    expect(none.length).toBeLessThanOrEqual(1);
    const sealed = 4 + none.length;
    expect(lane.isFull).toBe(true);
    expect(lane.seal(NOW_MS)).toEqual([]);
    lane.acknowledged(0);
    expect(lane.seal(NOW_MS)).toHaveLength(1);
    lane.ordered(2, 1);
    expect(lane.isFull).toBe(false);
    expect(lane.seal(NOW_MS).length).toBe(6 - sealed - 1);
    lane.acknowledged(sealed);
    lane.acknowledged(99);
    expect(lane.isFull).toBe(false);
  });

  it('is shared in turns by the rollups, however small the room that becomes free', () => {
    const lane = createLane(100, { ...FRESH, unordered: MAX_UNORDERED_BATCHES_PER_LANE });
    add(lane, 20, ROLLUP);
    add(lane, 3, OTHER_ROLLUP);
    const rollups: number[] = [];
    for (let i = 0; i < 6; i++) {
      lane.ordered(1, 0);
      rollups.push(...lane.seal(NOW_MS).map(({ batch }) => batch.signed.header.rollupId));
    }
    expect(rollups).toEqual([ROLLUP, OTHER_ROLLUP, ROLLUP, OTHER_ROLLUP, ROLLUP, OTHER_ROLLUP]);
    lane.ordered(64, 0);
    const rest = lane.seal(NOW_MS);
    expect(rest).toHaveLength(17);
    expect(rest.flatMap(({ hashes }) => hashes)).toEqual(
      Array.from({ length: 17 }, (_, i) => toHex(transaction(ROLLUP % 7, i + 3, 96))),
    );
  });

  it('keeps each rollup’s own order while they take turns', () => {
    const lane = createLane(300);
    const of = new Map([ROLLUP, OTHER_ROLLUP, 903].map((rollupId, i) => [rollupId, add(lane, 10 + 5 * i, rollupId)]));
    const sealed = lane.seal(NOW_MS);
    for (const [rollupId, hashes] of of) {
      const own = sealed.filter(({ batch }) => batch.signed.header.rollupId === rollupId);
      expect(own.flatMap(({ hashes: sealedHashes }) => sealedHashes)).toEqual(hashes);
    }
    expect(sealed.slice(0, 3).map(({ batch }) => batch.signed.header.rollupId)).toEqual([ROLLUP, OTHER_ROLLUP, 903]);
  });
});

describe('rollups with batches of unlike sizes', () => {
  it('have the same bytes over time: one whose batch is larger than a turn waits as many turns as it took', () => {
    const turn = 1000;
    const lane = createLane(turn, { ...FRESH, unordered: MAX_UNORDERED_BATCHES_PER_LANE });
    add(lane, 40, ROLLUP, 4 * turn - 4); // four turns each
    add(lane, 400, OTHER_ROLLUP, 96); // ten of them a turn
    const bytes = new Map([ROLLUP, OTHER_ROLLUP].map((rollupId) => [rollupId, 0]));
    for (let i = 0; i < 40; i++) {
      lane.ordered(1, i);
      const [sealed] = lane.seal(NOW_MS);
      const { rollupId, byteLength } = sealed!.batch.signed.header;
      bytes.set(rollupId, bytes.get(rollupId)! + byteLength);
      const [one, other] = [...bytes.values()] as [number, number];
      expect(Math.abs(one - other)).toBeLessThanOrEqual(4 * turn);
    }
    expect(bytes.get(OTHER_ROLLUP)).toBeGreaterThan(20 * turn);
  });
});

describe('a rollup that never has more than one transaction waiting', () => {
  it('has no more bytes than another one, however large they are', () => {
    const turn = 1000;
    const lane = createLane(turn, { ...FRESH, unordered: MAX_UNORDERED_BATCHES_PER_LANE });
    add(lane, 400, OTHER_ROLLUP, 96);
    const bytes: Record<number, number> = { [ROLLUP]: 0, [OTHER_ROLLUP]: 0 };
    for (let i = 0; i < 40; i++) {
      if (lane.waitingOf(ROLLUP).transactions === 0) add(lane, 1, ROLLUP, 4 * turn - 4, i);
      lane.ordered(1, i);
      const [sealed] = lane.seal(NOW_MS);
      const { rollupId, byteLength } = sealed!.batch.signed.header;
      bytes[rollupId]! += byteLength;
    }
    expect(bytes[ROLLUP]! - bytes[OTHER_ROLLUP]!).toBeLessThanOrEqual(4 * turn);
    // Nobody else waits: it need not wait for anybody.
    const alone = createLane(turn);
    for (let i = 0; i < 5; i++) {
      add(alone, 1, ROLLUP, 4 * turn - 4, i);
      expect(alone.seal(NOW_MS)).toHaveLength(1);
    }
  });
});

describe('what waits', () => {
  const FULL = { ...FRESH, unordered: MAX_UNORDERED_BATCHES_PER_LANE };
  const HALF_BYTES = MAX_LANE_WAITING_BYTES / 2;
  const HALF_TRANSACTIONS = MAX_LANE_WAITING_TRANSACTIONS / 2;

  it('is bounded in bytes: a rollup alone may fill half, and at the limit there is no room for one more', () => {
    const lane = createLane(1024, FULL);
    expect(lane.hasRoomFor(ROLLUP, 1, HALF_BYTES)).toBe(true);
    expect(lane.hasRoomFor(ROLLUP, 1, HALF_BYTES + 1)).toBe(false);
    add(lane, HALF_BYTES / MAX_TRANSACTION_BYTES, ROLLUP, MAX_TRANSACTION_BYTES);
    expect(lane.hasRoomFor(ROLLUP, 1, 0)).toBe(true);
    expect(lane.hasRoomFor(ROLLUP, 1, 1)).toBe(false);
    expect(lane.waitingOf(ROLLUP)).toEqual({
      bytes: HALF_BYTES,
      transactions: HALF_BYTES / MAX_TRANSACTION_BYTES,
    });
    lane.ordered(1, 0);
    lane.seal(NOW_MS);
    expect(lane.hasRoomFor(ROLLUP, 1, MAX_TRANSACTION_BYTES)).toBe(true);
    expect(lane.hasRoomFor(ROLLUP, 1, MAX_TRANSACTION_BYTES + 1)).toBe(false);
  });

  it('is bounded in number', () => {
    const lane = createLane();
    expect(lane.hasRoomFor(ROLLUP, HALF_TRANSACTIONS, 1)).toBe(true);
    expect(lane.hasRoomFor(ROLLUP, HALF_TRANSACTIONS + 1, 1)).toBe(false);
    const raw = Uint8Array.of(1);
    for (let i = 0; i < HALF_TRANSACTIONS; i++) lane.add(ROLLUP, '0x01', raw);
    expect(lane.hasRoomFor(ROLLUP, 0, 0)).toBe(true);
    expect(lane.hasRoomFor(ROLLUP, 1, 1)).toBe(false);
  });

  it('of one rollup that has filled its share leaves the others room', () => {
    const lane = createLane(1024, FULL);
    add(lane, HALF_BYTES / MAX_TRANSACTION_BYTES, ROLLUP, MAX_TRANSACTION_BYTES);
    expect(lane.hasRoomFor(ROLLUP, 1, 1)).toBe(false);
    expect(lane.hasRoomFor(OTHER_ROLLUP, 1, HALF_BYTES / 2)).toBe(true);
    expect(lane.hasRoomFor(OTHER_ROLLUP, 1, HALF_BYTES / 2 + 1)).toBe(false);
  });

  it('leaves a newcomer its share, however many flood', () => {
    const lane = createLane(1024, FULL);
    const floods = Array.from({ length: 15 }, (_, i) => 1000 + i);
    for (let added = true; added; ) {
      added = false;
      for (const rollupId of floods) {
        if (!lane.hasRoomFor(rollupId, 1, MAX_TRANSACTION_BYTES)) continue;
        add(lane, 1, rollupId, MAX_TRANSACTION_BYTES);
        added = true;
      }
    }
    const shares = floods.map((rollupId) => lane.waitingOf(rollupId).bytes);
    expect(Math.min(...shares)).toBeGreaterThanOrEqual(MAX_LANE_WAITING_BYTES / 16 - MAX_TRANSACTION_BYTES);
    expect(lane.hasRoomFor(ROLLUP, 1, MAX_LANE_WAITING_BYTES / 32)).toBe(true);
  });

  it('of a light rollup is sealed after one batch of each other at most, however much the others have waiting', () => {
    const lane = createLane(1000, FULL);
    const floods = Array.from({ length: 15 }, (_, i) => 1000 + i);
    for (const rollupId of floods) add(lane, 200, rollupId);
    for (let round = 0; round < 10; round++) {
      const [hash] = add(lane, 1, ROLLUP, 96, round);
      lane.ordered(floods.length + 1, 0);
      const sealed = lane.seal(NOW_MS);
      expect(sealed.flatMap(({ hashes }) => hashes)).toContain(hash);
    }
  });
});

describe('a bundle', () => {
  const bundle = (lane: Lane, rollups: readonly number[], first = 500) => {
    const members = rollups.map((rollupId, i) => {
      const raw = transaction(rollupId % 7, first + i, 96);
      return { rollupId, hash: toHex(raw), transaction: raw, onPlaced: undefined };
    });
    lane.addBundle(members as [BundleMember, ...BundleMember[]]);
    return members.map(({ hash }) => hash);
  };
  const headersOf = (sealed: readonly SealedBatch[]) => sealed.map(({ batch }) => batch.signed.header);
  const sixteen = Array.from({ length: MAX_BUNDLE_BATCHES }, (_, i) => 901 + (i % 3));

  it('is sealed as batches of their own, in order, each but the last joining the next', () => {
    const lane = createLane();
    const before = add(lane, 2);
    const hashes = bundle(lane, [ROLLUP, OTHER_ROLLUP, ROLLUP]);
    const after = add(lane, 1, ROLLUP, 96, 9);
    const sealed = lane.seal(NOW_MS);
    expect(sealed.map(({ hashes: of }) => of)).toEqual([before, ...hashes.map((hash) => [hash]), after]);
    expect(headersOf(sealed).map(({ joinsNext }) => joinsNext)).toEqual([false, true, true, false, false]);
    expect(headersOf(sealed).map(({ rollupId }) => rollupId)).toEqual([ROLLUP, ROLLUP, OTHER_ROLLUP, ROLLUP, ROLLUP]);
    expect(lane.waitingTransactions).toBe(0);
    expect(lane.waitingOf(ROLLUP)).toEqual({ bytes: 0, transactions: 0 });
  });

  it('of one transaction is a batch like any other', () => {
    const lane = createLane();
    bundle(lane, [ROLLUP]);
    expect(headersOf(lane.seal(NOW_MS)).map(({ joinsNext }) => joinsNext)).toEqual([false]);
  });

  it('waits until the lane has room for all of it, and nobody is let past it then', () => {
    const lane = createLane(1000, { ...FRESH, unordered: MAX_UNORDERED_BATCHES_PER_LANE - MAX_BUNDLE_BATCHES + 1 });
    const hashes = bundle(lane, sixteen);
    add(lane, 1, OTHER_ROLLUP);
    expect(lane.seal(NOW_MS)).toEqual([]);
    lane.ordered(1, 0);
    const sealed = lane.seal(NOW_MS);
    expect(sealed.flatMap(({ hashes: of }) => of)).toEqual(hashes);
    expect(lane.unordered).toBe(MAX_UNORDERED_BATCHES_PER_LANE);
    expect(lane.waitingTransactions).toBe(1);
  });

  it('counts as a whole for its first rollup', () => {
    const lane = createLane(1000, { ...FRESH, unordered: MAX_UNORDERED_BATCHES_PER_LANE });
    bundle(lane, sixteen);
    expect(lane.waitingOf(901)).toEqual({ bytes: 16 * 96, transactions: 16 });
    expect(lane.waitingOf(902)).toEqual({ bytes: 0, transactions: 0 });
  });

  it('stays one in the lane of the next epoch', () => {
    const lane = createLane();
    bundle(lane, [ROLLUP, OTHER_ROLLUP]);
    const next = createLane();
    const resealed = lane.seal(NOW_MS).map(({ batch }) => next.reseal(batch).batch.signed.header.joinsNext);
    expect(resealed).toEqual([true, false]);
  });
});
