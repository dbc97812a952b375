/** Following over JSON-RPC: each block once and in order, whoever is killed or lies on the way; and who it was. */

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type FeedBlock, FeedStage, type HandOverProof, toHex, VoteKind } from '@squad/types';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  type FollowOptions,
  follow,
  getBlockProof,
  getReceipt,
  type Liar,
  LightClient,
  lightClientSource,
  MAX_QUEUED_CHARACTERS,
  type NetworkAccess,
  type ProvenBlock,
} from '../src/index.ts';
import { type HonestChain, transaction } from '../src/testing/index.ts';
import type { FakeSequencer, Lies } from './fake-sequencer.ts';
import { fakeNetwork, hashOf, newChain, ROLLUP } from './support.ts';

let chain: HonestChain;
let sequencers: readonly FakeSequencer[];
let liars: Liar[];

beforeEach(() => {
  chain = newChain();
  sequencers = [];
  liars = [];
});

function grow(blocks: number): void {
  for (let i = 0; i < blocks; i++) {
    const seed = chain.head + 1;
    chain.append([
      { rollupId: ROLLUP, transactions: [transaction(40, seed), transaction(20, seed + 1000)] },
      { rollupId: 902, author: 1, transactions: [transaction(30, seed)] },
      { rollupId: ROLLUP, author: 2, transactions: [transaction(25, seed + 2000)] },
    ]);
  }
  for (const sequencer of sequencers) sequencer.announce();
}

async function access(...lies: Lies[]): Promise<NetworkAccess> {
  const network = await fakeNetwork(chain, ...lies);
  ({ sequencers, liars } = network);
  return network.access;
}

/** Blocks up to a height; `onBlock` may change the world on the way. */
async function take(
  network: NetworkAccess,
  to: number,
  options: FollowOptions = {},
  onBlock: (block: ProvenBlock) => unknown = () => {},
): Promise<ProvenBlock[]> {
  const blocks: ProvenBlock[] = [];
  for await (const block of follow(network, ROLLUP, { times: { firstBackOffMs: 10 }, ...options })) {
    blocks.push(block);
    await onBlock(block);
    if (block.stage === 'final' && block.header.height === to) break;
  }
  return blocks;
}

const heights = (blocks: readonly ProvenBlock[]) => blocks.map(({ header }) => header.height);
const upTo = (to: number, from = 1) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('follow', () => {
  it('gives each final block once and in order, with the batches of the rollup alone, as they come', async () => {
    const network = await access({});
    grow(5);
    const blocks = await take(network, 12, {}, ({ header }) => header.height >= 5 && chain.head < 12 && grow(1));
    expect(heights(blocks)).toEqual(upTo(12));
    for (const block of blocks) {
      expect(block.batches.map(({ ref }) => ref.author)).toEqual([0, 2]);
      expect(toHex(block.hash)).toBe(toHex(chain.hashAt(block.header.height)));
    }
    expect(liars).toEqual([]);
  });

  it('goes on from any height, and tells of soft blocks if asked', async () => {
    const network = await access({});
    grow(6);
    expect(heights(await take(network, 6, { fromHeight: 4 }))).toEqual([4, 5, 6]);
    expect(sequencers[0]!.subscribed).toEqual([4]);
    const both = await take(network, 6, { fromHeight: 5, soft: true });
    expect(both.map(({ stage, header }) => [stage, header.height])).toEqual([
      ['soft', 5],
      ['final', 5],
      ['soft', 6],
      ['final', 6],
    ]);
  });

  it('goes on at another endpoint when one says that it cannot go on, in whatever words', async () => {
    // No text can be made of this object.
    const network = await access({ says: { error: { message: { toString: null } } } }, {});
    grow(2);
    expect(heights(await take(network, 2))).toEqual([1, 2]);
    expect(sequencers[0]!.subscribed).toEqual([1]);
    expect(liars).toEqual([]);
  });

  it('goes on at another endpoint when one is killed', async () => {
    const network = await access({}, {});
    grow(4);
    const blocks = await take(network, 8, {}, async ({ header }) => {
      if (header.height !== 3) return;
      await sequencers[0]!.stop();
      grow(4);
    });
    expect(heights(blocks)).toEqual(upTo(8));
    expect(liars).toEqual([]);
  });

  const ofHeight3 = (lie: (block: FeedBlock) => FeedBlock | undefined) => (block: FeedBlock) =>
    block.block.header.height === 3 && block.stage === 2 ? lie(block) : block;
  it.each<[string, string, (chain: () => HonestChain) => Lies]>([
    [
      'omits a batch',
      'BATCH_OMITTED',
      () => ({ feed: ofHeight3((block) => ({ ...block, batches: block.batches.slice(1) })) }),
    ],
    [
      'forges a certificate',
      'BAD_SIGNATURE',
      (of) => ({
        feed: ofHeight3((block) => ({
          ...block,
          certificate: { ...block.certificate, signature: of().certificateAt(1).signature },
        })),
      }),
    ],
    [
      'passes a notarization off as a finalization',
      'WRONG_CERTIFICATE_KIND',
      (of) => ({ feed: ofHeight3((block) => ({ ...block, certificate: of().certificateAt(3, VoteKind.notarize) })) }),
    ],
    ["gives another rollup's blocks", 'WRONG_ROLLUP', (of) => ({ feed: ofHeight3(() => of().feedBlock(3, 902)) })],
    [
      "gives another rollup's batches",
      'BATCH_OMITTED',
      (of) => ({ feed: ofHeight3((block) => ({ ...block, batches: of().feedBlock(3, 902).batches })) }),
    ],
    ['leaves out a block', 'GAP', () => ({ feed: ofHeight3(() => undefined) })],
    ['repeats a block', 'STALE', (of) => ({ feed: ofHeight3(() => of().feedBlock(2, ROLLUP)) })],
    ['holds back what is final', 'STALE_HEAD', () => ({ head: 2 })],
  ])('names an endpoint that %s, and goes on without it', async (_, code, lies) => {
    const network = await access(
      lies(() => chain),
      {},
    );
    grow(6);
    const blocks = await take(network, 6, { stallMs: 300 });
    expect(heights(blocks)).toEqual(upTo(6));
    expect(liars).toMatchObject([{ endpoint: sequencers[0]!.url, code }]);
  });

  it('leaves alone whoever lied, for longer each time, and takes what is good from it after that', async () => {
    let lying = 2;
    const network = await access({
      feed: (block) =>
        block.stage === 2 && block.block.header.height === 2 && lying-- > 0 ? { ...block, batches: [] } : block,
    });
    grow(3);
    const startedMs = performance.now();
    expect(heights(await take(network, 3, { times: { distrustMs: 100 } }))).toEqual([1, 2, 3]);
    expect(performance.now() - startedMs).toBeGreaterThan(300);
    expect(liars.map(({ code }) => code)).toEqual(['BATCH_OMITTED', 'BATCH_OMITTED']);
  });

  it('does not take an endpoint for a liar that is alone, or cannot be reached', async () => {
    const network = await access({ head: 2 }, {});
    grow(3);
    await sequencers[1]!.stop();
    const aborted = new AbortController();
    const options = { stallMs: 100, signal: aborted.signal };
    setTimeout(() => aborted.abort(), 1_000);
    expect(heights(await take(network, 3, options))).toEqual([1, 2]);
    expect(liars).toEqual([]);
  });

  it('goes from epoch to epoch by the proofs of their ends, whoever gives one that is none', async () => {
    chain = newChain({ epochLengthBlocks: 16 });
    const forged = (proof: HandOverProof) => ({ ...proof, certificate: { ...proof.certificate, view: 99 } });
    const network = await access({ handOver: forged }, {});
    grow(20);
    const blocks = await take(network, 36, {}, ({ header }) => header.height >= 20 && chain.head < 36 && grow(2));
    expect(heights(blocks)).toEqual(upTo(36));
    expect([...new Set(blocks.map(({ header }) => header.epoch))]).toEqual([0, 1, 2]);
    expect(liars).toMatchObject([
      { endpoint: sequencers[0]!.url, code: 'HAND_OVER_CERTIFICATE' },
      { endpoint: sequencers[0]!.url, code: 'HAND_OVER_CERTIFICATE' },
    ]);
    // A receipt of an epoch that has yet to be reached, and of one that is over by then.
    liars.splice(0);
    expect(await getReceipt(network, hashOf(transaction(40, 33)))).toMatchObject({ header: { height: 33, epoch: 2 } });
    expect(await getReceipt(network, hashOf(transaction(40, 17)))).toMatchObject({ header: { height: 17, epoch: 1 } });
    expect(await getBlockProof(network, 20)).toMatchObject({ header: { height: 20, epoch: 1 } });
    expect(liars.map(({ code }) => code)).toEqual(['HAND_OVER_CERTIFICATE', 'HAND_OVER_CERTIFICATE']);
    // From a later checkpoint, as a light client leaves it.
    const light = new LightClient(network);
    await light.advance(network.endpoints.map((endpoint) => lightClientSource(endpoint)));
    expect(light.known.validatorSet.epoch).toBe(2);
    expect(heights(await take({ ...network, ...light.known }, 35, { fromHeight: 34 }))).toEqual([34, 35]);
  });

  it('leaves an endpoint that takes the connection and says nothing, and does not call it a liar', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const network = await access({});
    grow(3);
    const { port } = silent.address() as AddressInfo;
    const endpoints = [`http://127.0.0.1:${port}`, ...network.endpoints];
    expect(heights(await take({ ...network, endpoints }, 3, { stallMs: 300 }))).toEqual([1, 2, 3]);
    expect(liars).toEqual([]);
    silent.close();
  });

  it.each([false, true])(
    'leaves one that tells of soft blocks without a pause and of no final one; soft: %s',
    async (soft) => {
      const network = await access({ feed: (block) => (block.stage === FeedStage.final ? undefined : block) }, {});
      grow(2);
      const growing = setInterval(() => grow(1), 20);
      const blocks = await take(network, 3, { stallMs: 200, soft }).finally(() => clearInterval(growing));
      expect(heights(blocks.filter(({ stage }) => stage === 'final'))).toEqual([1, 2, 3]);
      expect(liars).toMatchObject([{ endpoint: network.endpoints[0], code: 'STALE_HEAD', height: 1 }]);
    },
  );

  it('waits longer for a block that did not come: it may be large', async () => {
    // Neither gives block 2 for so long as a large one takes on a thin line.
    const late = { feed: (block: FeedBlock) => (block.block.header.height === 2 ? undefined : block), head: 2 };
    const network = await access(late, late);
    grow(2);
    const options = { stallMs: 200, times: { distrustMs: 1, maxDistrustMs: 1 } };
    const aborted = new AbortController();
    setTimeout(() => aborted.abort(), 3_000);
    await take(network, 2, { ...options, signal: aborted.signal });
    const waits = liars.map(({ code, message }) => [code, Number(/for (\d+) ms/.exec(message)![1])]);
    expect(waits.slice(0, 3)).toEqual([200, 400, 800].map((ms) => ['STALE_HEAD', ms]));
  });

  it('holds no more than a limit of what a slow reader has not taken, and comes back for the rest', async () => {
    const network = await access({});
    const body = (seed: number) => Array.from({ length: 5 }, (_, i) => transaction(100_000, seed + i));
    // Two million characters for each, soft and final.
    const blocks = Math.ceil(MAX_QUEUED_CHARACTERS / 4_000_000) + 6;
    for (let i = 0; i < blocks; i++) {
      chain.append([0, 1].map((author) => ({ rollupId: ROLLUP, author, transactions: body(10 * i + author) })));
    }
    // Until the connection is left.
    const slow = ({ header }: ProvenBlock) => header.height === 1 && sequencers[0]!.left;
    expect(heights(await take(network, blocks, {}, slow))).toEqual(upTo(blocks));
    expect(sequencers[0]!.subscribed.length).toBeGreaterThan(1);
    expect(sequencers[0]!.subscribed.slice(1).every((height) => height > 10)).toBe(true);
    expect(liars).toEqual([]);
  });

  it('does not take a block of an epilogue for one of the chain', async () => {
    chain = newChain({ epochLengthBlocks: 16 });
    grow(16);
    const epilogue = chain.build([], { epoch: 0, view: 17, parentView: 16, nextValidatorSetHash: new Uint8Array(32) });
    const soft = chain.wrap(epilogue, ROLLUP, chain.certify(VoteKind.notarize, epilogue.header), FeedStage.soft);
    const network = await access({ feed: (block) => (block.block.header.height === 16 ? soft : block) }, {});
    const blocks = await take(network, 16, { fromHeight: 15, soft: true });
    expect(blocks.every(({ header }) => header.height <= 16)).toBe(true);
    expect(liars).toMatchObject([{ endpoint: sequencers[0]!.url, code: 'EPILOGUE', height: 17 }]);
  });

  it('ends when it is aborted, and refuses endpoints that are none', async () => {
    const network = await access({});
    grow(1);
    const aborted = new AbortController();
    const blocks = await take(network, 9, { signal: aborted.signal }, () => aborted.abort());
    expect(heights(blocks)).toEqual([1]);
    const bad = (endpoints: string[]) => take({ ...network, endpoints }, 1).catch((error) => error.code);
    expect(await bad([])).toBe('ENDPOINTS_INVALID');
    expect(await bad(['ftp://x'])).toBe('ENDPOINTS_INVALID');
    expect(await bad(new Array<string>(257).fill(sequencers[0]!.url))).toBe('ENDPOINTS_INVALID');
    expect(heights(await take({ ...network, endpoints: new Array<string>(256).fill(sequencers[0]!.url) }, 1))).toEqual([
      1,
    ]);
  });
});
