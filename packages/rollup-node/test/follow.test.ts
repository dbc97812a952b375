/** The follower against scripted sequencers over streams in memory: honest ones, liars, silent ones, slow ones. */

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
  HandOverProof,
  HandOverRequest,
  type Height,
  MAX_FEED_UNACKNOWLEDGED_BLOCKS,
  type ValidatorSet,
  VoteKind,
} from '@squad/types';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ApplyOutcome, ProvenBlock } from '../src/derivation/api.ts';
import { createFollower, Epochs, type Follower, type FollowerOptions, type Refusal } from '../src/follow/index.ts';

const ROLLUP = 901;

let chain: HonestChain;
let source: ChainSource;
let sequencers: Sequencer[];
let follower: Follower;
let refusals: Refusal[];
let failure: unknown;
let applied: Applied;
/** Whom it asked for the end of which epoch. */
let asked: [number, number][];
/** The disk that proven sets are kept on. */
let keep: (set: ValidatorSet) => void;

/** How a sequencer departs from the honest way. */
interface Script {
  /** Replaces what it posts; undefined: posts nothing. */
  post?: (block: FeedBlock) => FeedBlock | undefined;
  /** What it says of its head. */
  head?: () => Height;
  unreachable?: boolean;
  /** Bodies below it were pruned: whoever asks for them is told so. */
  heldFrom?: Height;
  /** Posts a soft block's final without bodies. */
  omitsBodies?: boolean;
}

/** Posts all that is final from where it is asked, within the window; what it was not acknowledged, it does not repeat. */
class Sequencer {
  script: Script = {};
  readonly subscriptions: Height[] = [];
  readonly acknowledged: Height[] = [];
  posted: Height[] = [];
  opened = 0;
  #stream: MemoryStream | undefined;
  #next: Height = FEED_HEAD_ONLY;
  #acked: Height = 0;

  async open(): Promise<MemoryStream> {
    if (this.script.unreachable) throw new Error('unreachable');
    this.opened++;
    const [ours, theirs] = streamPair();
    this.#stream = ours;
    this.#next = FEED_HEAD_ONLY;
    void this.#serve(ours);
    return theirs;
  }

  get connected(): boolean {
    return this.#stream !== undefined && !this.#stream.closed;
  }
  send(message: FeedMessage): void {
    void this.#stream?.send(encodeFeedMessage(message)).catch(() => {});
  }
  sendBytes(bytes: Uint8Array): void {
    void this.#stream?.send(bytes);
  }
  drop(): void {
    this.#stream?.close();
  }
  tellHead(): void {
    this.send({ type: 'head', height: this.script.head?.() ?? source.head });
  }
  soft(height: Height): void {
    this.#post(chain.feedBlock(height, ROLLUP, { stage: FeedStage.soft }));
  }
  final(height: Height): void {
    this.posted.push(height);
    this.#post(chain.feedBlock(height, ROLLUP, { bodiesOmitted: this.script.omitsBodies === true }));
  }
  /** Posts what is new. */
  pump(): void {
    while (this.#next <= source.head && this.#next <= this.#acked + MAX_FEED_UNACKNOWLEDGED_BLOCKS) {
      this.final(this.#next++);
    }
  }

  #post(block: FeedBlock): void {
    const post = this.script.post ? this.script.post(block) : block;
    if (post) this.send({ type: 'block', block: post });
  }

  async #serve(stream: MemoryStream): Promise<void> {
    for await (const frame of stream.frames()) {
      const message = decodeFeedMessage(frame);
      if (!message.ok) throw new Error(message.error.reason);
      if (message.value.type === 'subscribe') {
        this.subscriptions.push(message.value.fromHeight);
        if (message.value.fromHeight < (this.script.heldFrom ?? 0)) {
          this.send({ type: 'error', code: 'NOT_HELD', message: 'pruned' });
          this.drop();
          return;
        }
        this.#next = message.value.fromHeight;
        this.#acked = this.#next - 1;
        this.tellHead();
      } else if (message.value.type === 'acknowledge') {
        this.acknowledged.push(message.value.height);
        this.#acked = Math.max(this.#acked, message.value.height);
        this.#next = Math.max(this.#next, this.#acked + 1);
      }
      this.pump();
    }
  }
}

/** Takes blocks as derivation does; says which came. */
class Applied {
  readonly finals: Height[] = [];
  readonly softs: Height[] = [];
  /** Transactions of final blocks, in order. */
  readonly transactions: Uint8Array[] = [];
  fail: unknown;
  gate: Promise<void> | undefined;

  async applySoft(block: ProvenBlock): Promise<ApplyOutcome> {
    this.softs.push(block.height);
    return 'applied';
  }
  async applyFinal(block: ProvenBlock): Promise<ApplyOutcome> {
    await this.gate;
    if (this.fail) throw this.fail;
    this.finals.push(block.height);
    for (const batch of block.batches) this.transactions.push(...batch.transactions);
    return 'applied';
  }
}

const range = (from: number, to: number) => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
const later = (ms = 0) => vi.advanceTimersByTimeAsync(ms);
const grow = (count: number) => {
  for (let i = 0; i < count; i++) {
    chain.append([{ rollupId: ROLLUP, transactions: [transaction(50, chain.head)] }]);
  }
  source.head = chain.head;
};
const pump = () => {
  for (const sequencer of sequencers) {
    sequencer.tellHead();
    sequencer.pump();
  }
};
const start = (options: Partial<FollowerOptions> = {}, from = 0) => {
  const { networkId, genesisTimeMs, validatorSet, scheme } = chain;
  const { epochLengthBlocks } = chain.genesisFile;
  const about = { networkId, genesisTimeMs, epochLengthBlocks, sha256, rollupId: ROLLUP };
  const { genesis } = createVerifier({ ...about, validatorSet, scheme });
  const sets = { read: async () => undefined, write: async (set: ValidatorSet) => keep(set) };
  follower = createFollower({
    network: {
      openFeed: (index) => sequencers[index]!.open(),
      request: async (index, _protocol, request) => {
        const { epoch } = HandOverRequest.deserialize(request);
        asked.push([index, epoch]);
        const proof = chain.handOver(epoch);
        return proof ? HandOverProof.serialize(proof) : new Uint8Array();
      },
    },
    epochs: new Epochs({ networkId, epochLengthBlocks, first: validatorSet, sets }, validatorSet),
    createVerifier: (set, check) => createVerifier({ ...about, validatorSet: set, scheme: check }),
    onValidatorSet: () => {},
    rollupId: ROLLUP,
    start: from === 0 ? genesis : { height: from, hash: chain.hashAt(from) },
    derivation: applied,
    options,
    logger: silentLogger,
    // The order of the sequencers: 0 first.
    random: () => 0.5,
    onRefused: (refusal) => refusals.push(refusal),
    onFailed: (error) => {
      failure = error;
    },
  });
  follower.start();
};

beforeEach(() => {
  vi.useFakeTimers();
  chain = new HonestChain({ bls: blstBls, sha256 });
  source = new ChainSource(chain);
  sequencers = range(0, 3).map(() => new Sequencer());
  applied = new Applied();
  refusals = [];
  asked = [];
  keep = () => {};
  failure = undefined;
});
afterEach(async () => {
  await follower.stop();
  vi.useRealTimers();
});

describe('from epoch to epoch', () => {
  beforeEach(() => {
    chain = new HonestChain({ bls: blstBls, sha256, epochLengthBlocks: 16 });
    source = new ChainSource(chain);
  });

  it('asks for the proof that an epoch is over, keeps the set, and goes on', async () => {
    const kept: number[] = [];
    keep = ({ epoch }) => kept.push(epoch);
    grow(40);
    start();
    await later(3_000);
    expect(applied.finals).toEqual(range(1, 40));
    expect([kept, asked.map(([, epoch]) => epoch), follower.epoch]).toEqual([[1, 2], [0, 1], 2]);
  });

  it('ends with what the disk says if it cannot keep a set, which is no fault of a sequencer’s', async () => {
    const broken = new Error('the disk is full');
    keep = () => {
      throw broken;
    };
    grow(40);
    start();
    await later(10_000);
    expect(failure).toBe(broken);
    expect([applied.finals, asked.length, refusals]).toEqual([range(1, 16), 1, []]);
  });
});

describe('catching up', () => {
  it('takes everything from one sequencer, each block once, and then listens to all', async () => {
    grow(300);
    start();
    await later(3_000);
    expect(applied.finals).toEqual(range(1, 300));
    expect(applied.transactions).toEqual(range(0, 299).map((seed) => transaction(50, seed)));
    const posted = sequencers.map(({ posted }) => posted.length).sort((a, b) => a - b);
    // The one that caught us up; the others only what was new when all went live.
    expect(posted.at(-1)).toBe(300);
    expect(posted[0]! + posted[1]! + posted[2]!).toBeLessThan(3 * 32);
    expect(follower.setHead).toBe(300);
  });

  it('goes on after what was applied before a restart', async () => {
    grow(40);
    start({}, 30);
    await later(1_000);
    expect(applied.finals).toEqual(range(31, 40));
  });

  it('acknowledges only what was applied, on every live feed', async () => {
    grow(3);
    let open = () => {};
    applied.gate = new Promise((resolve) => {
      open = resolve;
    });
    start();
    await later(1_000);
    expect(sequencers.flatMap(({ acknowledged }) => acknowledged)).toEqual([]);
    open();
    await later(1_000);
    for (const { acknowledged } of sequencers) expect(acknowledged.at(-1)).toBe(3);
  });

  it('leaves a sequencer that says it is ahead and gives nothing', async () => {
    grow(100);
    sequencers[0]!.script = { post: () => undefined };
    start({ stallMs: 1_000 });
    await later(1_500);
    pump();
    await later(1_500);
    expect(applied.finals).toEqual(range(1, 100));
    expect(refusals).toEqual([]);
  });

  it('gets from the one that kept them the blocks that the others have pruned, and then listens to all', async () => {
    grow(100);
    for (const sequencer of sequencers.slice(0, 3)) sequencer.script = { heldFrom: 50 };
    start();
    await later(20_000);
    expect(applied.finals).toEqual(range(1, 100));
    expect(sequencers[3]!.posted.slice(0, 49)).toEqual(range(1, 49));
    expect(sequencers.map(({ connected }) => connected)).toEqual([true, true, true, true]);
    expect(refusals).toEqual([]);
  });

  it('waits for a large block as long as something of it comes, and leaves when nothing does', async () => {
    for (const sequencer of sequencers) sequencer.script = { post: () => undefined };
    const plans = range(0, 3).map((author) => ({ rollupId: ROLLUP, author, transactions: [transaction(90, author)] }));
    chain.append(plans);
    grow(30);
    start({ stallMs: 1_000 });
    await later(10);
    const primary = sequencers[0]!;
    const block = chain.feedBlock(1, ROLLUP);
    primary.send({ type: 'block', block: { ...block, batches: [] } });
    for (const batch of block.batches) {
      await later(800);
      primary.send({ type: 'batch', batch });
    }
    await later(10);
    expect(applied.finals).toEqual([1]);
    expect(primary.connected).toBe(true);
    const next = chain.feedBlock(2, ROLLUP);
    primary.send({ type: 'block', block: { ...next, batches: [] } });
    for (const sequencer of sequencers.slice(1)) sequencer.script = {};
    await later(900);
    expect(primary.opened).toBe(1);
    await later(1_200);
    expect(applied.finals).toEqual(range(1, 31));
  });

  it('goes to another sequencer when the one that it uses goes away', async () => {
    grow(200);
    sequencers[0]!.script = { post: (block) => (block.block.header.height <= 70 ? block : undefined) };
    start();
    await later(50);
    sequencers[0]!.script.unreachable = true;
    sequencers[0]!.drop();
    await later(2_000);
    expect(applied.finals).toEqual(range(1, 200));
  });
});

describe('live', () => {
  beforeEach(async () => {
    grow(5);
    start();
    await later(500);
    pump();
    await later(100);
    expect(applied.finals).toEqual(range(1, 5));
  });

  it('applies a block that all sequencers post once', async () => {
    grow(1);
    pump();
    await later(100);
    expect(applied.finals).toEqual(range(1, 6));
  });

  it('puts blocks that come out of order into order', async () => {
    grow(3);
    sequencers[2]!.final(8);
    sequencers[1]!.final(7);
    await later(50);
    expect(applied.finals).toEqual(range(1, 5));
    sequencers[3]!.final(6);
    await later(50);
    expect(applied.finals).toEqual(range(1, 8));
  });

  it('applies a soft block before its final one, once, and the final one without bodies by those of the soft one', async () => {
    grow(1);
    sequencers[1]!.soft(6);
    sequencers[2]!.soft(6);
    await later(10);
    expect([applied.softs, applied.finals.at(-1)]).toEqual([[6], 5]);
    sequencers[1]!.script = { omitsBodies: true };
    sequencers[1]!.final(6);
    await later(10);
    expect(applied.finals.at(-1)).toBe(6);
    expect(applied.transactions.at(-1)).toEqual(transaction(50, 5));
  });

  it('a final block right behind its soft one is applied with its bodies', async () => {
    grow(1);
    sequencers[1]!.script = { omitsBodies: true };
    sequencers[1]!.soft(6);
    sequencers[1]!.final(6);
    await later(10);
    expect([applied.softs, applied.finals.at(-1)]).toEqual([[6], 6]);
  });

  it('asks again for bodies that were left out and are not held', async () => {
    grow(1);
    sequencers[1]!.script = { omitsBodies: true };
    sequencers[1]!.final(6);
    sequencers[1]!.script = {};
    await later(10);
    expect(sequencers[1]!.subscriptions.at(-1)).toBe(6);
    expect(applied.finals.at(-1)).toBe(6);
    expect(refusals).toEqual([]);
  });

  it('does not apply a soft block of a branch that lost', async () => {
    const lost = chain.build([]);
    grow(1);
    pump();
    await later(10);
    const certificate = chain.certify(VoteKind.notarize, lost.header);
    const child = { ...lost, header: { ...lost.header, height: 7 } };
    sequencers[1]!.send({ type: 'block', block: chain.wrap(lost, ROLLUP, certificate, FeedStage.soft) });
    sequencers[1]!.send({
      type: 'block',
      block: chain.wrap(child, ROLLUP, chain.certify(VoteKind.notarize, child.header), FeedStage.soft),
    });
    await later(10);
    expect([applied.softs, refusals]).toEqual([[], []]);
  });

  it('asks another sequencer when a block is missing and nobody posts it', async () => {
    for (const sequencer of sequencers) sequencer.script.post = () => undefined;
    grow(2);
    pump();
    sequencers[3]!.script = {};
    sequencers[3]!.final(7);
    await later(1_000);
    expect(applied.finals.at(-1)).toBe(5);
    await later(20_000);
    expect(applied.finals).toEqual(range(1, 7));
  });

  it('puts together a block whose batches come in messages of their own', async () => {
    grow(1);
    const block = chain.feedBlock(6, ROLLUP);
    sequencers[0]!.send({ type: 'block', block: { ...block, batches: [] } });
    sequencers[0]!.tellHead();
    sequencers[0]!.send({ type: 'batch', batch: block.batches[0]! });
    await later(10);
    expect(applied.finals.at(-1)).toBe(6);
  });
});

describe('a sequencer that lies is refused by name, closed, not used for a while, and does not stop the others', () => {
  const flipLast = (bytes: Uint8Array) => {
    const copy = bytes.slice();
    copy[copy.length - 1]! ^= 1;
    return copy;
  };
  const lies: [string, string, (block: FeedBlock) => FeedBlock][] = [
    ['body', 'BODY_ROOT_MISMATCH', (block) => ({ ...block, batches: block.batches.map(flipLast) })],
    [
      'signature',
      'BAD_SIGNATURE',
      (block) => ({
        ...block,
        certificate: { ...block.certificate, signature: flipLast(block.certificate.signature) },
      }),
    ],
    ['rollup', 'WRONG_ROLLUP', (block) => ({ ...block, rollupId: 5 })],
    [
      'parent',
      'PARENT_MISMATCH',
      (block) => ({
        ...block,
        block: { ...block.block, header: { ...block.block.header, parentHash: new Uint8Array(32) } },
      }),
    ],
  ];

  it.each(lies)('about the %s', async (_, code, lie) => {
    grow(4);
    start();
    await later(500);
    pump();
    await later(100);
    grow(3);
    const liar = sequencers[1]!;
    liar.script = { post: lie };
    liar.pump();
    await later(10);
    expect(refusals).toMatchObject([{ sequencer: 1, code, height: 5 }]);
    expect(refusals[0]!.message).toContain('height 5');
    expect(liar.connected).toBe(false);
    pump();
    await later(100);
    expect(applied.finals).toEqual(range(1, 7));
    await later(30_000);
    expect(liar.opened).toBe(1);
    liar.script = {};
    await later(40_000);
    expect(liar.opened).toBe(2);
  });

  it.each([
    ['bytes that are no message', (liar: Sequencer) => liar.sendBytes(Uint8Array.of(99)), 'ENCODING'],
    ['a batch of no block', (liar: Sequencer) => liar.send({ type: 'batch', batch: new Uint8Array(9) }), 'PROTOCOL'],
    [
      'a block after one whose batches did not all come',
      (liar: Sequencer) => {
        liar.send({ type: 'block', block: { ...chain.feedBlock(6, ROLLUP), batches: [] } });
        liar.send({ type: 'block', block: chain.feedBlock(7, ROLLUP) });
      },
      'PROTOCOL',
    ],
    [
      'a block that no quorum certified, before its bodies are taken',
      (liar: Sequencer) => {
        const block = chain.feedBlock(6, ROLLUP);
        const certificate = { ...block.certificate, signature: flipLast(block.certificate.signature) };
        liar.send({ type: 'block', block: { ...block, certificate, batches: [] } });
      },
      'BAD_SIGNATURE',
    ],
    ['what rollup nodes send', (liar: Sequencer) => liar.send({ type: 'acknowledge', height: 1 }), 'PROTOCOL'],
    ['a block beyond the window', (liar: Sequencer) => liar.final(100), 'PROTOCOL'],
  ])('by %s', async (_, act, code) => {
    grow(100);
    source.head = 5;
    start();
    await later(500);
    act(sequencers[2]!);
    await later(10);
    expect(refusals).toMatchObject([{ sequencer: 2, code }]);
    expect(sequencers[2]!.connected).toBe(false);
  });

  it('while it catches us up: another one goes on from there', async () => {
    grow(300);
    const lie = (block: FeedBlock) =>
      block.block.header.height === 100 ? { ...block, batches: block.batches.map(flipLast) } : block;
    for (const liar of [0, 1, 2]) sequencers[liar]!.script = { post: lie };
    start();
    await later(5_000);
    expect(applied.finals).toEqual(range(1, 300));
    expect(refusals.length).toBeGreaterThan(0);
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: 'BODY_ROOT_MISMATCH', height: 100 });
  });

  it('a soft block with a bad certificate', async () => {
    grow(5);
    start();
    await later(500);
    pump();
    await later(100);
    grow(1);
    const soft = chain.feedBlock(6, ROLLUP, { stage: FeedStage.soft });
    const certificate = { ...soft.certificate, signature: flipLast(soft.certificate.signature) };
    sequencers[3]!.send({ type: 'block', block: { ...soft, certificate } });
    sequencers[1]!.soft(6);
    await later(10);
    expect(refusals).toMatchObject([{ sequencer: 3, code: 'BAD_SIGNATURE' }]);
    expect(applied.softs).toEqual([6]);
  });
});

describe('the set’s head', () => {
  it('is what more than F of the weight claim: one liar cannot move it', async () => {
    grow(10);
    sequencers[2]!.script = { head: () => 1_000_000 };
    start();
    await later(500);
    expect(follower.setHead).toBe(10);
  });

  it('is unknown while too few were heard', async () => {
    grow(10);
    for (const index of [1, 2, 3]) sequencers[index]!.script = { unreachable: true };
    start();
    await later(500);
    expect(follower.setHead).toBeUndefined();
    expect(applied.finals).toEqual(range(1, 10));
    sequencers[1]!.script = {};
    await later(15_000);
    expect(follower.setHead).toBe(10);
  });
});

describe('feeds', () => {
  it('are opened again later and later, not more than allowed at a time', async () => {
    for (const sequencer of sequencers) sequencer.script = { unreachable: true };
    start({ maxFeeds: 2 });
    await later(60_000);
    for (const sequencer of sequencers) sequencer.script = {};
    await later(15_000);
    expect(sequencers.filter(({ connected }) => connected)).toHaveLength(2);
    expect(follower.feeds.filter(({ state }) => state === 'open')).toHaveLength(2);
  });

  it('all end when the follower stops', async () => {
    grow(3);
    start();
    await later(500);
    await follower.stop();
    await later();
    expect(sequencers.some(({ connected }) => connected)).toBe(false);
  });

  it('end when derivation fails, and the owner is told', async () => {
    grow(3);
    applied.fail = new Error('the store is broken');
    start();
    await later(500);
    expect(failure).toBe(applied.fail);
    expect(sequencers.some(({ connected }) => connected)).toBe(false);
    expect(applied.finals).toEqual([]);
  });
});
