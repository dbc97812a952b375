/** What a validator that left gives away: no faster than the topic takes it, nothing twice that counts as seen, until it is ordered (R22). */

import { keccak256 } from '@squad/crypto/node';
import { GOSSIP_SEEN_MS, MAX_GOSSIP_MESSAGE_BYTES } from '@squad/network';
import { silentLogger } from '@squad/service';
import {
  encodeBatch,
  GossipTransactions,
  MAX_BATCH_BODY_BYTES,
  MAX_BATCH_TRANSACTIONS,
  type TransactionHash,
  toHex,
} from '@squad/types';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { StoredBatch } from '../src/actor.ts';
import { HAND_ON_INTERVAL_MS, HandOn, MAX_HANDED_ON_BYTES } from '../src/hand-on.ts';
import { createGenesis, ROLLUP, sealBatch, transaction } from './support.ts';

const genesis = createGenesis(4);
const hashOf = (one: Uint8Array): TransactionHash => toHex(keccak256(one));

let listeners: number;
/** What the topic took: a message that it remembers goes to nobody. */
let taken: {
  readonly atMs: number;
  readonly message: string;
  readonly transactions: string[];
  readonly isHeard: boolean;
}[];
/** It remembers what went to nobody, too. */
let isSeenByNobody: boolean;
let refused: number;
let reads: number;
let ordered: Set<TransactionHash>;
let forgotten: TransactionHash[];
let handOn: HandOn | undefined;

beforeEach(() => {
  vi.useFakeTimers();
  [listeners, refused, reads] = [3, 0, 0];
  [taken, forgotten] = [[], []];
  isSeenByNobody = false;
  ordered = new Set();
});
afterEach(async () => {
  await handOn?.stop();
  vi.useRealTimers();
});

function giveAway(batches: readonly StoredBatch[]): HandOn {
  const held = new Map(batches.map(({ batch, digest }) => [toHex(digest), encodeBatch(batch)]));
  handOn = new HandOn(
    {
      store: {
        readBatch: async (digest) => {
          reads++;
          return held.get(digest);
        },
      },
      publish: async (bytes) => {
        if (listeners === 0 && !isSeenByNobody) return 0;
        expect(bytes.length).toBeLessThanOrEqual(MAX_GOSSIP_MESSAGE_BYTES);
        const message = hashOf(bytes);
        const isSeen = taken.some((one) => one.message === message && Date.now() - one.atMs <= GOSSIP_SEEN_MS);
        if (isSeen) {
          refused++;
          return 0;
        }
        const { rollupId, transactions } = GossipTransactions.deserialize(bytes);
        expect(rollupId).toBe(ROLLUP);
        taken.push({ atMs: Date.now(), message, transactions: transactions.map(hashOf), isHeard: listeners > 0 });
        return listeners;
      },
      isOrdered: async (hash) => ordered.has(hash),
      onOrdered: (hashes) => void forgotten.push(...hashes),
      now: Date.now,
      logger: silentLogger,
    },
    batches.map(({ batch }) => batch.signed),
  );
  handOn.start();
  return handOn;
}

const later = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const given = () => new Set(taken.flatMap(({ transactions }) => transactions));
/** The first batches of a lane, each of transactions of its own. */
const lane = (batches: number, transactionsEach: number, byteLength: number) =>
  Array.from({ length: batches }, (_, seq) =>
    sealBatch(
      genesis,
      3,
      { seq },
      Array.from({ length: transactionsEach }, (_, i) => transaction(3, seq * transactionsEach + i, byteLength)),
    ),
  );
/** As many bytes as a body may have, its offsets included. */
const FULL = MAX_BATCH_BODY_BYTES / 4 - 4;

it('gives away so many bytes in one interval, the next batch in the next one', async () => {
  const fitting = MAX_HANDED_ON_BYTES / MAX_BATCH_BODY_BYTES;
  giveAway(lane(2 * fitting + 1, 4, FULL));
  for (const batches of [fitting, 2 * fitting, 2 * fitting + 1, 2 * fitting + 1]) {
    await later(batches === fitting ? 0 : HAND_ON_INTERVAL_MS);
    expect(given().size).toBe(4 * batches);
  }
  expect(refused).toBe(0);
});

it('gives away so many transactions in one interval', async () => {
  giveAway([...lane(1, MAX_BATCH_TRANSACTIONS, 5), sealBatch(genesis, 3, { seq: 1 }, [transaction(3, 99_999)])]);
  await later(0);
  expect(given().size).toBe(MAX_BATCH_TRANSACTIONS);
  await later(HAND_ON_INTERVAL_MS);
  expect(given().size).toBe(MAX_BATCH_TRANSACTIONS + 1);
}, 30_000);

it('gives large transactions again when nobody remembers them, and not before', async () => {
  giveAway(lane(3, 4, FULL));
  await later(GOSSIP_SEEN_MS);
  expect([taken.length, refused]).toEqual([12, 0]);
  await later(6 * HAND_ON_INTERVAL_MS);
  expect([taken.length, refused]).toEqual([24, 0]);
});

it('gives small ones again after 1, 2, 4 … seconds, each time by another message, and in the end by no more than one a minute', async () => {
  const batches = lane(2, 40, 100);
  giveAway(batches);
  await later(10 * 60_000);
  expect(refused).toBe(0);
  const times = [...new Set(taken.map(({ atMs }) => Math.round((atMs - taken[0]!.atMs) / 1000)))];
  expect(times.slice(0, 8)).toEqual([0, 1, 3, 7, 15, 31, 63, 127]);
  expect(taken).toHaveLength(2 * times.length);
  expect(times.length).toBeLessThan(17);
  // Between two times it is not even read.
  expect(reads).toBe(2 * times.length);
});

it('gives only what is not ordered, and forgets a batch once all of it is', async () => {
  const [first, second] = lane(2, 3, 100).map(({ batch }) => batch.signed) as [never, never];
  const batches = lane(2, 3, 100);
  const hashes = [0, 1, 2, 3, 4, 5].map((number) => hashOf(transaction(3, number, 100)));
  const handing = giveAway(batches);
  await later(0);
  for (const hash of hashes.slice(0, 2)) ordered.add(hash);
  await later(HAND_ON_INTERVAL_MS);
  expect(new Set(taken.slice(2).flatMap(({ transactions }) => transactions))).toEqual(new Set(hashes.slice(2)));
  expect(handing.headers).toEqual([first, second]);
  ordered.add(hashes[2]!);
  // Long before it would be given again.
  await later(HAND_ON_INTERVAL_MS);
  expect([handing.headers, forgotten]).toEqual([[second], hashes.slice(0, 3)]);
  for (const hash of hashes) ordered.add(hash);
  await later(HAND_ON_INTERVAL_MS);
  expect([handing.headers, forgotten]).toEqual([[], hashes]);
});

it('tries again in each interval while nobody listens', async () => {
  listeners = 0;
  giveAway(lane(1, 4, FULL));
  await later(10 * HAND_ON_INTERVAL_MS);
  listeners = 1;
  await later(HAND_ON_INTERVAL_MS);
  expect([taken.length, refused]).toEqual([4, 0]);
});

it('makes other messages of what went to nobody: it may count as seen', async () => {
  [listeners, isSeenByNobody] = [0, true];
  giveAway(lane(1, 4, 100));
  await later(3 * HAND_ON_INTERVAL_MS);
  [listeners, isSeenByNobody] = [1, false];
  await later(HAND_ON_INTERVAL_MS);
  expect(taken.filter(({ isHeard }) => isHeard)).toHaveLength(1);
});
