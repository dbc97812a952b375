/** The feed over streams in memory: who posts what, when, and how much. */

import { createVerifier } from '@squad/client';
import { ChainSource, HonestChain, type MemoryStream, streamPair, transaction } from '@squad/client/testing';
import { blstBls, sha256 } from '@squad/crypto/node';
import { silentLogger } from '@squad/service';
import {
  decodeFeedMessage,
  encodeFeedMessage,
  FEED_HEAD_ONLY,
  type FeedBlock,
  type FeedMessage,
  FeedStage,
  type Height,
  MAX_FEED_MESSAGE_BYTES,
  MAX_FEED_UNACKNOWLEDGED_BLOCKS,
  MAX_FEED_UNACKNOWLEDGED_BYTES,
  toHex,
  VoteKind,
} from '@squad/types';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createFeed, type Feed } from '../src/feed/index.ts';

const ROLLUP = 901;
const TAKEOVER_MS = 400;

/** A rollup node's end of a stream: collects what comes. */
class Reader {
  readonly messages: FeedMessage[] = [];
  ended = false;
  readonly #stream: MemoryStream;

  constructor(feed: Feed, subscribe?: { rollupId?: number; fromHeight: Height }, options = { read: true }) {
    const [theirs, ours] = streamPair();
    this.#stream = ours;
    feed.onStream(theirs);
    if (subscribe) this.send({ type: 'subscribe', rollupId: ROLLUP, ...subscribe });
    if (options.read) void this.#read();
  }

  send(message: FeedMessage): void {
    void this.#stream.send(encodeFeedMessage(message));
  }
  sendBytes(bytes: Uint8Array): void {
    void this.#stream.send(bytes);
  }
  acknowledge(height: Height): void {
    this.send({ type: 'acknowledge', height });
  }
  close(): void {
    this.#stream.close();
  }

  /** Blocks as they were posted, with the batches that came in messages of their own. */
  get blocks(): FeedBlock[] {
    const blocks: FeedBlock[] = [];
    for (const message of this.messages) {
      if (message.type === 'block') blocks.push({ ...message.block, batches: [...message.block.batches] });
      if (message.type === 'batch') blocks.at(-1)!.batches.push(message.batch);
    }
    return blocks;
  }
  heights(stage: FeedStage = FeedStage.final): Height[] {
    return this.blocks.filter((block) => block.stage === stage).map(({ block }) => block.header.height);
  }
  get errors() {
    return this.messages.filter((message) => message.type === 'error').map(({ code }) => code);
  }
  get heads() {
    return this.messages.filter((message) => message.type === 'head').map(({ height }) => height);
  }

  async #read(): Promise<void> {
    for await (const frame of this.#stream.frames()) {
      const message = decodeFeedMessage(frame);
      if (!message.ok) throw new Error(message.error.reason);
      this.messages.push(message.value);
    }
    this.ended = true;
  }
}

let chain: HonestChain;
let source: ChainSource;
const feeds: Feed[] = [];

/** Everything is in the first epoch. */
const handOvers = { read: async () => undefined };

const newFeed = (self: number | undefined, of: ChainSource = source) => {
  const feed = createFeed({
    source: of,
    self: () => self,
    handOvers,
    rollupIds: [ROLLUP],
    takeoverMs: TAKEOVER_MS,
    logger: silentLogger,
  });
  feeds.push(feed);
  return feed;
};
/** Appends blocks of one batch each, and lets the store hold them as final. */
const grow = (count: number, byteLength = 100) => {
  for (let i = 0; i < count; i++) {
    chain.append([{ rollupId: ROLLUP, transactions: [transaction(byteLength, chain.head)] }]);
  }
  source.head = chain.head;
};
const makeSoft = () => {
  chain.append([{ rollupId: ROLLUP, transactions: [transaction(100, chain.head)] }]);
  return { block: chain.blocks.at(-1)!, certificate: chain.certificateAt(chain.head, VoteKind.notarize) };
};
const announce = (feed: Feed, height = chain.head) => {
  source.head = height;
  feed.onFinal([chain.blocks[height]!], chain.certificateAt(height));
};
const leaderOf = (height: Height) => chain.blocks[height]!.header.leader;
const later = (ms = 0) => vi.advanceTimersByTimeAsync(ms);
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

beforeEach(() => {
  vi.useFakeTimers();
  chain = new HonestChain({ bls: blstBls, sha256 });
  source = new ChainSource(chain);
});
afterEach(() => {
  for (const feed of feeds.splice(0)) feed.stop();
  vi.useRealTimers();
});

/** Every block that came is what a verifier accepts, one after the other. */
const expectVerifiable = (blocks: readonly FeedBlock[]) => {
  const { networkId, genesisTimeMs, validatorSet, scheme, genesisFile } = chain;
  const { epochLengthBlocks } = genesisFile;
  const about = { networkId, genesisTimeMs, epochLengthBlocks, sha256, rollupId: ROLLUP };
  const verifier = createVerifier({ ...about, validatorSet, scheme });
  let known = verifier.genesis;
  for (const block of blocks) {
    const proven = verifier.verifyFeedBlock(block, known);
    if (!proven.ok) throw new Error(proven.error.message);
    known = { height: proven.value.header.height, hash: proven.value.hash };
  }
};

describe('catching up', () => {
  it('posts everything from the height asked for up to the head, each block once and provable', async () => {
    grow(30);
    const reader = new Reader(newFeed(0), { fromHeight: 1 });
    await later();
    expect(reader.heights()).toEqual(range(1, 30));
    expectVerifiable(reader.blocks);
    expect(reader.heads[0]).toBe(30);
  });

  it('begins in the middle', async () => {
    grow(10);
    const reader = new Reader(newFeed(0), { fromHeight: 8 });
    await later();
    expect(reader.heights()).toEqual([8, 9, 10]);
  });

  it('proves blocks without a certificate of their own by the path to the next one, reading each header once', async () => {
    grow(40);
    for (const height of range(2, 39)) source.uncertified.add(height);
    const reader = new Reader(newFeed(0), { fromHeight: 1 });
    await later();
    expect(reader.heights()).toEqual(range(1, 40));
    expect(reader.blocks[1]!.path).toHaveLength(38);
    expectVerifiable(reader.blocks);
    // Each block for itself, once more for its header, and its batch.
    expect(source.reads).toBeLessThanOrEqual(3 * 40);
  });

  it('answers a subscription from the head with the head alone', async () => {
    grow(5);
    const reader = new Reader(newFeed(0), { fromHeight: FEED_HEAD_ONLY });
    await later(3_500);
    expect(reader.messages.map(({ type }) => type)).toEqual(['head', 'head', 'head', 'head']);
    expect(reader.heads.at(-1)).toBe(5);
  });

  it('goes on from another height when it is asked again', async () => {
    grow(6);
    const reader = new Reader(newFeed(0), { fromHeight: 5 });
    await later();
    reader.send({ type: 'subscribe', rollupId: ROLLUP, fromHeight: 3 });
    await later();
    expect(reader.heights()).toEqual([5, 6, 3, 4, 5, 6]);
  });

  it('says that it does not hold bodies that were pruned', async () => {
    grow(3);
    source.missing.add(toHex(chain.blocks[2]!.refs[0]!.digest));
    const reader = new Reader(newFeed(0), { fromHeight: 1 });
    await later();
    expect(reader.heights()).toEqual([1]);
    expect(reader.errors).toEqual(['NOT_HELD']);
    expect(reader.ended).toBe(true);
  });
});

describe('live', () => {
  it('the leader of the view posts at once, another one only after a while', async () => {
    grow(3);
    const leader = newFeed(0);
    const other = newFeed(1);
    const [atLeader, atOther] = [new Reader(leader, { fromHeight: 4 }), new Reader(other, { fromHeight: 4 })];
    await later();
    grow(1);
    expect(leaderOf(4)).toBe(0);
    announce(leader);
    announce(other);
    await later();
    expect([atLeader.heights(), atOther.heights()]).toEqual([[4], []]);
    await later(TAKEOVER_MS - 1);
    expect(atOther.heights()).toEqual([]);
    await later(1);
    expect(atOther.heights()).toEqual([4]);
  });

  it('nobody takes over what was acknowledged, however long it lasts', async () => {
    const other = newFeed(undefined);
    const reader = new Reader(other, { fromHeight: 1 });
    await later();
    for (const height of range(1, 5)) {
      grow(1);
      announce(other);
      reader.acknowledge(height);
      await later(100);
    }
    await later(10 * TAKEOVER_MS);
    expect(reader.blocks).toEqual([]);
  });

  it('its own block does not wait behind another leader’s', async () => {
    const feed = newFeed(2);
    const reader = new Reader(feed, { fromHeight: 1 });
    await later();
    grow(1);
    announce(feed);
    grow(1);
    announce(feed);
    expect([leaderOf(1), leaderOf(2)]).toEqual([1, 2]);
    await later();
    expect(reader.heights()).toEqual([2]);
    await later(TAKEOVER_MS);
    expect(reader.heights()).toEqual([2, 1]);
  });

  it('the leader posts a soft block with its bodies, then the final one without them', async () => {
    const feed = newFeed(1);
    const reader = new Reader(feed, { fromHeight: 1 });
    await later();
    const soft = makeSoft();
    feed.onSoft(soft.block, soft.certificate);
    await later();
    announce(feed);
    await later();
    const [first, second] = reader.blocks;
    expect(first).toMatchObject({ stage: FeedStage.soft, bodiesOmitted: 0 });
    expect(first!.batches).toHaveLength(1);
    expect(second).toMatchObject({ stage: FeedStage.final, bodiesOmitted: 1, batches: [] });
  });

  it('the final block comes with bodies if the soft one at its height was another', async () => {
    const feed = newFeed(1);
    const reader = new Reader(feed, { fromHeight: 1 });
    await later();
    const lost = chain.build([chain.seal({ rollupId: ROLLUP, transactions: [transaction(9, 9)] })]);
    feed.onSoft(lost, chain.certify(VoteKind.notarize, lost.header));
    await later();
    grow(1);
    announce(feed);
    await later();
    expect(reader.blocks.map(({ stage, bodiesOmitted }) => [stage, bodiesOmitted])).toEqual([
      [FeedStage.soft, 0],
      [FeedStage.final, 0],
    ]);
  });

  it('the final block comes with bodies after a new subscription', async () => {
    const feed = newFeed(1);
    const reader = new Reader(feed, { fromHeight: 1 });
    await later();
    const soft = makeSoft();
    feed.onSoft(soft.block, soft.certificate);
    await later();
    reader.send({ type: 'subscribe', rollupId: ROLLUP, fromHeight: 1 });
    await later();
    announce(feed);
    await later();
    expect(reader.blocks.at(-1)).toMatchObject({ stage: FeedStage.final, bodiesOmitted: 0 });
  });

  it('nobody but the leader posts a soft block', async () => {
    const feed = newFeed(3);
    const reader = new Reader(feed, { fromHeight: 1 });
    await later();
    const soft = makeSoft();
    feed.onSoft(soft.block, soft.certificate);
    await later(5 * TAKEOVER_MS);
    expect(reader.blocks).toEqual([]);
  });

  it('waits for bodies that are still on their way to this sequencer', async () => {
    const feed = newFeed(1);
    const reader = new Reader(feed, { fromHeight: 1 });
    await later();
    grow(1);
    const digest = toHex(chain.blocks[1]!.refs[0]!.digest);
    source.missing.add(digest);
    announce(feed);
    await later(1_000);
    expect(reader.heights()).toEqual([]);
    source.missing.delete(digest);
    await later(200);
    expect(reader.heights()).toEqual([1]);
    expect(reader.ended).toBe(false);
  });

  it('looks for the bodies of several blocks now and then, not all the time', async () => {
    const feed = newFeed(1);
    const reader = new Reader(feed, { fromHeight: 1 });
    await later();
    grow(2);
    const digests = [1, 2].map((height) => toHex(chain.blocks[height]!.refs[0]!.digest));
    for (const digest of digests) source.missing.add(digest);
    const looked = vi.spyOn(source, 'readBatch');
    announce(feed, 1);
    announce(feed, 2);
    await later(1_000);
    expect(looked.mock.calls.length).toBeLessThan(30);
    for (const digest of digests) source.missing.delete(digest);
    await later(200);
    expect(reader.heights()).toEqual([1, 2]);
  });
});

describe('bounds', () => {
  it('no more blocks are on their way than the window holds; acknowledgements move it', async () => {
    grow(MAX_FEED_UNACKNOWLEDGED_BLOCKS + 20);
    const reader = new Reader(newFeed(0), { fromHeight: 1 });
    await later(5_000);
    expect(reader.heights()).toEqual(range(1, MAX_FEED_UNACKNOWLEDGED_BLOCKS));
    reader.acknowledge(10);
    await later();
    expect(reader.heights()).toEqual(range(1, MAX_FEED_UNACKNOWLEDGED_BLOCKS + 10));
  });

  it('no more bytes are on their way than the window holds, and one block', async () => {
    const blockBytes = 4 * 100_000;
    for (let i = 0; i < 50; i++) {
      const transactions = [1, 2, 3, 4].map((seed) => transaction(100_000, seed));
      chain.append([{ rollupId: ROLLUP, transactions }]);
    }
    source.head = chain.head;
    const reader = new Reader(newFeed(0), { fromHeight: 1 });
    await later(5_000);
    const posted = reader.blocks.reduce((sum, { batches }) => sum + batches[0]!.length, 0);
    expect(posted).toBeGreaterThan(MAX_FEED_UNACKNOWLEDGED_BYTES - 2 * blockBytes);
    expect(posted).toBeLessThan(MAX_FEED_UNACKNOWLEDGED_BYTES + 2 * blockBytes);
  });

  it('a reader that does not read makes the feed read no more than the stream takes', async () => {
    grow(60, 1_000);
    const reader = new Reader(newFeed(0), { fromHeight: 1 }, { read: false });
    await later(5_000);
    expect(source.reads).toBeLessThan(20);
    reader.close();
  });

  it('a block that is larger than a message goes in several, none above the limit', async () => {
    const plans = [1, 2, 3, 4].map((seed) => ({
      rollupId: ROLLUP,
      author: seed - 1,
      transactions: [1, 2, 3, 4].map((n) => transaction(120_000, seed * n)),
    }));
    chain.append(plans);
    source.head = 1;
    const reader = new Reader(newFeed(0), { fromHeight: 1 });
    await later();
    expect(reader.messages.filter(({ type }) => type === 'batch').length).toBeGreaterThan(0);
    const sizes = reader.messages.map((message) => encodeFeedMessage(message).length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(MAX_FEED_MESSAGE_BYTES);
    expectVerifiable(reader.blocks);
  });
});

describe('a rollup node that does not keep to the protocol is told so, and its stream closed', () => {
  it('another rollup than those of the genesis file', async () => {
    const reader = new Reader(newFeed(0), { rollupId: 5, fromHeight: 1 });
    await later();
    expect([reader.errors, reader.ended]).toEqual([['UNKNOWN_ROLLUP'], true]);
  });
  it('an acknowledgement before a subscription', async () => {
    const reader = new Reader(newFeed(0));
    reader.acknowledge(1);
    await later();
    expect(reader.errors).toEqual(['BAD_MESSAGE']);
  });
  it('bytes that are no message', async () => {
    const reader = new Reader(newFeed(0), { fromHeight: 1 });
    reader.sendBytes(Uint8Array.of(77, 1, 2));
    await later();
    expect(reader.errors).toEqual(['BAD_MESSAGE']);
  });
  it('what only sequencers send', async () => {
    const reader = new Reader(newFeed(0), { fromHeight: 1 });
    reader.send({ type: 'head', height: 3 });
    await later();
    expect(reader.errors).toEqual(['BAD_MESSAGE']);
  });
  it('no subscription at all', async () => {
    const reader = new Reader(newFeed(0));
    await later(20_000);
    expect([reader.errors, reader.ended]).toEqual([['BAD_MESSAGE'], true]);
  });
});

describe('streams', () => {
  it('are counted, and forgotten when either side closes', async () => {
    const feed = newFeed(0);
    const reader = new Reader(feed, { fromHeight: 1 });
    const other = new Reader(feed, { fromHeight: 1 });
    await later();
    expect(feed.streams).toBe(2);
    reader.close();
    await later();
    expect(feed.streams).toBe(1);
    feed.stop();
    await later();
    expect([feed.streams, other.errors, other.ended]).toEqual([0, ['STOPPING'], true]);
  });
});

describe('the sequence for other readers', () => {
  it('yields what is final, then what becomes final, in full, until it is aborted', async () => {
    grow(2);
    const feed = newFeed(0);
    const abort = new AbortController();
    const seen: FeedBlock[] = [];
    const done = (async () => {
      for await (const block of feed.sequenceFrom(ROLLUP, 1, abort.signal)) seen.push(block);
    })();
    await later();
    grow(1);
    announce(feed);
    await later();
    expect(seen.map(({ block }) => block.header.height)).toEqual([1, 2, 3]);
    expectVerifiable(seen);
    abort.abort();
    await done;
  });

  it('throws where bodies are not held', async () => {
    grow(1);
    source.missing.add(toHex(chain.blocks[1]!.refs[0]!.digest));
    const sequence = newFeed(0).sequenceFrom(ROLLUP, 1);
    await expect(sequence.next()).rejects.toMatchObject({ code: 'FEED_NOT_HELD' });
  });
});
