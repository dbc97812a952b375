/** Batches between validators: what is acknowledged and when, what is sent again (R3 to R5). */

import type { Network } from '@squad/network';
import { noMetrics } from '@squad/service';
import {
  type BatchDigest,
  decodeValidatorMessage,
  encodeBatch,
  type Genesis,
  type LaneFork,
  MAX_UNORDERED_BATCHES_PER_LANE,
  toHex,
  type ValidatorMessage,
} from '@squad/types';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { StoredBatch } from '../src/actor.ts';
import { HashPrefixes, hashPrefixesOf } from '../src/hash-prefixes.ts';
import { HeldLanes } from '../src/held-lanes.ts';
import { createSequencerMetrics } from '../src/sequencer-metrics.ts';
import {
  ACKNOWLEDGE_INTERVAL_MS,
  MAX_BATCHES_RESENT,
  MAX_RESEND_AFTER_MS,
  RESEND_AFTER_MS,
  Spread,
} from '../src/spread.ts';
import { createGenesis, Journal, refOf, sealBatch, sealRun, transaction } from './support.ts';

const SELF = 0;
const PEER = 2;
const genesis = createGenesis(4);

let lanes: HeldLanes;
let sent: { to: number | 'all'; channel: string; message: ValidatorMessage }[];
let storing: StoredBatch[];
let waiting: (() => void)[];
let held: Map<BatchDigest, Uint8Array>;
let heldByQuorum: number[];
let blamed: string[];
let hashPrefixes: HashPrefixes;
let journal: Journal;
let forks: LaneFork[];
let spread: Spread;

beforeEach(() => {
  vi.useFakeTimers();
  lanes = new HeldLanes(4);
  [sent, storing, waiting, blamed, heldByQuorum, forks] = [[], [], [], [], [], []];
  held = new Map();
  hashPrefixes = new HashPrefixes();
  journal = new Journal();
  spread = createSpread(SELF);
});
afterEach(() => {
  spread.stop();
  vi.useRealTimers();
});

function createSpread(self: number | undefined, { networkId, validatorSet }: Genesis = genesis): Spread {
  const send: Network['send'] = (to, channel, frame) => {
    const message = decodeValidatorMessage(frame);
    if (!message.ok) throw new Error(message.error.reason);
    sent.push({ to, channel, message: message.value });
  };
  return new Spread({
    networkId,
    validatorSet,
    rollupIds: new Set(genesis.file.rollups.map(({ rollupId }) => rollupId)),
    self,
    lanes,
    actor: {
      // Resolves when the test says that all is durable.
      storeBatch: (batch) => {
        storing.push(batch);
        return new Promise((resolve) => waiting.push(resolve));
      },
      whenDurable: (callback) => void waiting.push(callback),
    },
    store: { readBatch: async (digest) => held.get(digest) },
    network: () => ({ send, connectedValidators: [1, PEER] }),
    hashPrefixes,
    onHeldByQuorum: (seq) => void heldByQuorum.push(seq),
    random: () => 0.5,
    metrics: createSequencerMetrics(noMetrics),
    logger: journal,
    now: Date.now,
    blame: (peer, reason) => void blamed.push(`${peer}: ${reason}`),
    onEvidence: (fork) => void forks.push(fork),
  });
}

/** What the actor does with a batch: first the lanes know it, later it is durable. */
const takeIn = ({ batch, digest }: StoredBatch) => lanes.add(batch.signed, digest);
const becomeDurable = () => {
  for (const callback of waiting.splice(0)) callback();
};
const acknowledgementsTo = () =>
  sent.flatMap(({ to, message }) => (message.type === 'acknowledgements' ? [[to, message.acknowledgements]] : []));

describe('a batch of another validator', () => {
  it('is stored, and acknowledged to its author once that is durable', () => {
    const stored = sealBatch(genesis, PEER);
    spread.onBatch(PEER, stored);
    expect(storing).toEqual([stored]);
    expect(sent).toEqual([]);
    takeIn(stored);
    spread.onDurable([stored], [PEER]);
    expect(acknowledgementsTo()).toEqual([[PEER, [{ author: PEER, seq: 0, digest: stored.digest }]]]);
  });

  it.each([
    [6, PEER],
    [7, 'all'],
  ])('in a set of %i is acknowledged to %s: to all where a leader needs a third one to order it', (size, to) => {
    const set = createGenesis(size);
    lanes = new HeldLanes(size);
    spread = createSpread(SELF, set);
    const stored = sealBatch(set, PEER);
    takeIn(stored);
    spread.onDurable([stored], [PEER]);
    expect(acknowledgementsTo()).toMatchObject([[to, [{ author: PEER }]]]);
  });

  it('of the own lane is acknowledged to nobody', () => {
    const stored = sealBatch(genesis, SELF);
    takeIn(stored);
    spread.onDurable([stored], [SELF]);
    expect(acknowledgementsTo()).toEqual([]);
  });

  it('is acknowledged with others that become durable at about the same time, by one message', async () => {
    const [first, second, third] = sealRun(genesis, PEER, 3) as [StoredBatch, StoredBatch, StoredBatch];
    for (const stored of [first, second, third]) {
      takeIn(stored);
      spread.onDurable([stored], [PEER]);
    }
    expect(acknowledgementsTo()).toMatchObject([[PEER, [{ seq: 0 }]]]);
    await vi.advanceTimersByTimeAsync(ACKNOWLEDGE_INTERVAL_MS);
    // The lanes may show by now what is on its way to the disk still.
    expect(acknowledgementsTo()).toHaveLength(1);
    becomeDurable();
    expect(acknowledgementsTo()).toMatchObject([
      [PEER, [{ seq: 0 }]],
      [PEER, [{ seq: 2, digest: third.digest }]],
    ]);
    await vi.advanceTimersByTimeAsync(10 * ACKNOWLEDGE_INTERVAL_MS);
    becomeDurable();
    expect(acknowledgementsTo()).toHaveLength(2);
  });

  it('that is held is acknowledged unchecked; that is new is checked, and blamed on its sender', () => {
    const stored = sealBatch(genesis, PEER);
    const changed = { ...stored.batch, body: stored.batch.body.map((byte) => byte ^ 1) };
    spread.onBatch(PEER, { batch: changed });
    expect([storing, blamed]).toEqual([[], [expect.stringContaining('not the one that the header commits to')]]);
    takeIn(stored);
    spread.onBatch(PEER, { batch: changed });
    becomeDurable();
    expect([acknowledgementsTo().length, blamed.length]).toEqual([1, 1]);
  });

  it('comes with how its hashes begin, which is kept if one that is looked at is right, and blamed if it is not', () => {
    const [first, second] = sealRun(genesis, PEER, 2) as [StoredBatch, StoredBatch];
    spread.onBatch(PEER, { batch: first.batch, hashPrefixes: hashPrefixesOf(first.batch.body) });
    expect(hashPrefixes.take(toHex(first.digest))).toEqual(hashPrefixesOf(first.batch.body));
    spread.onBatch(PEER, {
      batch: second.batch,
      hashPrefixes: new Uint8Array(hashPrefixesOf(second.batch.body).length),
    });
    expect(hashPrefixes.take(toHex(second.digest))).toBeUndefined();
    // The batch itself is good.
    expect(storing).toHaveLength(2);
    expect(blamed).toEqual([expect.stringContaining('hashes')]);
  });

  it('that comes again while it is on its way to the disk is not acknowledged before it is there', () => {
    const stored = sealBatch(genesis, PEER);
    takeIn(stored);
    spread.onBatch(PEER, stored);
    expect([sent, storing]).toEqual([[], []]);
    becomeDurable();
    expect(acknowledgementsTo()).toEqual([[PEER, [{ author: PEER, seq: 0, digest: stored.digest }]]]);
  });

  it('is not acknowledged early to a validator that connects either', () => {
    takeIn(sealBatch(genesis, PEER));
    spread.onConnected(1);
    expect(sent).toEqual([]);
    becomeDurable();
    expect(acknowledgementsTo()).toHaveLength(1);
    expect(acknowledgementsTo()[0]![0]).toBe(1);
  });

  it('is acknowledged by no node that only follows', () => {
    spread = createSpread(undefined);
    const stored = sealBatch(genesis, PEER);
    spread.onBatch(PEER, stored);
    takeIn(stored);
    spread.onDurable([stored], [PEER]);
    spread.onConnected(PEER);
    becomeDurable();
    expect([storing.length, sent]).toEqual([1, []]);
  });

  it('of another epoch, or outside the window, is dropped without blame', () => {
    spread.onBatch(PEER, sealBatch(genesis, PEER, {}, undefined, { epoch: 1 }));
    spread.onBatch(PEER, sealBatch(genesis, PEER, { seq: 2 * MAX_UNORDERED_BATCHES_PER_LANE }));
    expect([storing, sent, waiting, blamed]).toEqual([[], [], [], []]);
  });

  it('that forks its lane is evidence, with both headers, whether it was sent or fetched', () => {
    const [first, second, third] = [1, 2, 3].map((number) =>
      sealBatch(genesis, PEER, {}, [transaction(PEER, number)]),
    ) as [StoredBatch, StoredBatch, StoredBatch];
    takeIn(first);
    spread.onBatch(PEER, second);
    expect(storing).toEqual([]);
    spread.onDurable([first, third], []);
    expect(forks).toEqual(
      [second, third].map(({ batch }) => ({ kind: 'E5', first: first.batch.signed, second: batch.signed })),
    );
  });
});

describe('an author that makes many batches of one place', () => {
  const variants = Array.from({ length: 4 }, (_, number) => sealBatch(genesis, PEER, {}, [transaction(PEER, number)]));
  const [first, ...others] = variants as [StoredBatch, ...StoredBatch[]];

  it('has the first one stored, none of the others though it is not durable yet, and all are evidence', () => {
    for (const { batch } of variants) spread.onBatch(PEER, { batch });
    expect(storing).toEqual([first]);
    expect(forks).toEqual(others.map(({ batch }) => ({ kind: 'E5', first: first.batch.signed, second: batch.signed })));
    expect(blamed).toEqual([]);
  });

  it('has the next place stored beside it, and the same of others', () => {
    const next = sealBatch(genesis, PEER, { seq: 1, previous: first.digest });
    const ofOther = sealBatch(genesis, 1);
    for (const { batch } of [...variants, next]) spread.onBatch(PEER, { batch });
    spread.onBatch(1, ofOther);
    expect(storing).toEqual([first, next, ofOther]);
  });

  it('is remembered by what is on its way alone: once that is durable the lanes tell', async () => {
    spread.onBatch(PEER, first);
    spread.onBatch(PEER, first);
    takeIn(first);
    becomeDurable();
    await vi.advanceTimersByTimeAsync(0);
    spread.onBatch(PEER, others[0]!);
    expect([storing, forks.length]).toEqual([[first], 1]);
    // The place is ordered: nothing of it is wanted any more.
    lanes.finalize([refOf(first)]);
    spread.onBatch(PEER, others[1]!);
    expect([storing.length, forks.length]).toEqual([1, 1]);
  });
});

it('of the branch that is ordered is stored, though one of another branch was in its place', async () => {
  const [first, other] = [1, 2].map((number) => sealBatch(genesis, PEER, {}, [transaction(PEER, number)]));
  const [next, otherNext] = [first!, other!].map(({ digest }) =>
    sealBatch(genesis, PEER, { seq: 1, previous: digest }),
  );
  for (const stored of [first!, next!]) {
    spread.onBatch(PEER, stored);
    takeIn(stored);
  }
  becomeDurable();
  await vi.advanceTimersByTimeAsync(0);
  lanes.finalize([refOf(other!)]);
  spread.onBatch(PEER, otherNext!);
  expect(storing).toEqual([first, next, otherNext]);
});

describe('the body of a final block of another epoch', () => {
  it('that becomes durable here forks no lane of this one', () => {
    takeIn(sealBatch(genesis, PEER));
    spread.onDurable([sealBatch(genesis, PEER, {}, [transaction(PEER, 1)], { epoch: 1 })], []);
    expect(forks).toEqual([]);
  });
});

describe('own batches', () => {
  const later = (ms: number) => vi.advanceTimersByTimeAsync(ms);
  const sentTo = (peer: number) =>
    sent.flatMap(({ to, message }) =>
      to === peer && message.type === 'batch' ? [message.batch.signed.header.seq] : [],
    );
  function own(count: number): StoredBatch[] {
    const run = sealRun(genesis, SELF, count);
    for (const stored of run) {
      takeIn(stored);
      held.set(toHex(stored.digest), encodeBatch(stored.batch));
    }
    return run;
  }

  it('are sent again, so many at a time, to who has not acknowledged them', async () => {
    const run = own(MAX_BATCHES_RESENT + 2);
    spread.onAcknowledgements(1, [{ author: SELF, seq: run.length - 1, digest: run.at(-1)!.digest }]);
    spread.start();
    await later(500);
    expect(sentTo(PEER)).toEqual([...Array(MAX_BATCHES_RESENT).keys()]);
    expect(sentTo(1)).toEqual([]);
    spread.onAcknowledgements(PEER, [{ author: SELF, seq: 7, digest: run[7]!.digest }]);
    sent.length = 0;
    // It takes them in, if slowly: what is under way may still come.
    await later(RESEND_AFTER_MS - 500);
    expect(sentTo(PEER)).toEqual([]);
    await later(500);
    expect(sentTo(PEER)).toEqual([8, 9]);
  });

  it('are sent again ever more seldom while none of them is acknowledged, and as at first once one is', async () => {
    const run = own(MAX_BATCHES_RESENT + 1);
    spread.start();
    const times: number[] = [];
    for (let passedMs = 500; passedMs <= 50_000; passedMs += 500) {
      sent.length = 0;
      await later(500);
      if (sentTo(PEER).length > 0) times.push(passedMs);
    }
    expect(times).toEqual([500, 2_500, 6_500, 14_500, 30_500, 30_500 + MAX_RESEND_AFTER_MS]);
    spread.onAcknowledgements(PEER, [{ author: SELF, seq: 7, digest: run[7]!.digest }]);
    sent.length = 0;
    await later(RESEND_AFTER_MS);
    expect(sentTo(PEER)).toEqual([8]);
  });

  it('are held by a quorum once so many have acknowledged them: with four validators two others', () => {
    const run = own(3);
    const acknowledge = (from: number, seq: number) =>
      spread.onAcknowledgements(from, [{ author: SELF, seq, digest: run[seq]!.digest }]);
    acknowledge(1, 2);
    expect(heldByQuorum).toEqual([]);
    acknowledge(PEER, 0);
    acknowledge(PEER, 0);
    acknowledge(3, 1);
    acknowledge(PEER, 2);
    expect(heldByQuorum).toEqual([0, 1, 2]);
  });

  it('are not sent again while they are young', async () => {
    const young = sealBatch(genesis, SELF, {}, undefined, { createdAtMs: Date.now() });
    takeIn(young);
    held.set(toHex(young.digest), encodeBatch(young.batch));
    spread.start();
    await later(RESEND_AFTER_MS - 100);
    spread.onConnected(PEER);
    await later(0);
    expect(sentTo(PEER)).toEqual([]);
    await later(700);
    expect(sentTo(PEER)).toContain(0);
  });

  it('are sent to who connects, whatever it had acknowledged before', async () => {
    const run = own(2);
    spread.onAcknowledgements(PEER, [{ author: SELF, seq: 1, digest: run[1]!.digest }]);
    spread.onConnected(PEER);
    await later(0);
    expect(sentTo(PEER)).toEqual([0, 1]);
  });

  it('that the store cannot read end nothing', async () => {
    own(1);
    held.get = () => {
      throw new Error('the disk is gone');
    };
    spread.onConnected(PEER);
    await later(0);
    expect(sentTo(PEER)).toEqual([]);
  });
});

describe('at the end of the epoch', () => {
  it('what was under way names no place any more: others may stand there, or nobody', () => {
    const mine = sealBatch(genesis, PEER);
    lanes.add(mine.batch.signed, mine.digest);
    spread.onConnected(PEER);
    spread.stop();
    for (const callback of waiting) callback();
    spread.onBatch(PEER, sealBatch(genesis, 1));
    spread.onBatch(PEER, sealBatch(genesis, PEER, { seq: 1 }));
    expect([sent, storing, blamed]).toEqual([[], [], []]);
  });
});
