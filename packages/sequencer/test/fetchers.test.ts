/** Batches and blocks that are asked for: who is asked, what is believed, who is blamed (R11, R21). */

import type { Input } from '@squad/consensus';
import { silentLogger } from '@squad/service';
import {
  BatchesRequest,
  BatchesResponse,
  type BatchRef,
  BatchRefs,
  type Block,
  BlockRequest,
  BlockResponse,
  blockHash,
  type Certificate,
  encodeBatch,
  genesisBlock,
  genesisCertificate,
  HandOverProof,
  MAX_BATCHES_PER_REQUEST,
  RangeResponse,
  toHex,
  VoteKind,
  ZERO_HASH,
} from '@squad/types';
import { beforeEach, describe, expect, it } from 'vitest';
import type { StoredBatch } from '../src/actor.ts';
import { BatchFetcher, MAX_BATCHES_IN_FETCH } from '../src/batch-fetcher.ts';
import { BlockFetcher, MAX_BLOCKS_IN_FETCH, MAX_OTHER_PEERS_ASKED } from '../src/block-fetcher.ts';
import { createGenesis, mutations, refOf, sealBatch, sealRun, transaction } from './support.ts';

const genesis = createGenesis(4);
type Answer = (request: Uint8Array) => Uint8Array | Promise<Uint8Array>;

let answers: Map<number, Answer>;
/** Of connected peers that are not in the set. */
let strangers: Map<string, Answer>;
let asked: (number | string)[];
let blamed: string[];
let stored: StoredBatch[];
let inputs: Input[];

const network = {
  formerValidators: [],
  get otherPeers() {
    return [...strangers.keys()];
  },
  get connectedValidators() {
    return [...answers.keys()];
  },
  request: async (to: number | string, _protocol: string, request: Uint8Array) => {
    asked.push(to);
    const answer = typeof to === 'number' ? answers.get(to) : strangers.get(to);
    if (!answer) throw new Error('not connected');
    return answer(request);
  },
  disconnect: (peer: unknown, reason: string) => void blamed.push(`${peer}: ${reason}`),
};

beforeEach(() => {
  answers = new Map();
  strangers = new Map();
  asked = [];
  blamed = [];
  stored = [];
  inputs = [];
});

function batchFetcher(isHeld: (digest: string) => boolean = () => false, areFinal = false): BatchFetcher {
  return new BatchFetcher({
    networkId: genesis.networkId,
    validatorSet: areFinal ? undefined : genesis.validatorSet,
    self: 0,
    network: () => network,
    blame: (peer, reason) => network.disconnect(peer, reason),
    isHeld,
    store: async (batch) => void stored.push(batch),
    logger: silentLogger,
  });
}

const honestly =
  (batches: readonly StoredBatch[]): Answer =>
  (request) => {
    const digests = BatchesRequest.deserialize(request).map(toHex);
    return answerWith(batches.filter(({ digest }) => digests.includes(toHex(digest))));
  };
const answerWith = (batches: readonly StoredBatch[]) =>
  BatchesResponse.serialize(batches.map(({ batch }) => encodeBatch(batch)));
const refsOf = (batches: readonly StoredBatch[]): BatchRef[] => batches.map(refOf);
const digestsOf = (batches: readonly StoredBatch[]) => batches.map(({ digest }) => toHex(digest)).sort();

describe('batches', () => {
  const run = sealRun(genesis, 1, MAX_BATCHES_PER_REQUEST + 8);

  it('are asked of a holder first, many in one request', async () => {
    for (const peer of [1, 2, 3]) answers.set(peer, honestly(run));
    await batchFetcher().fetch(refsOf(run), [2]);
    expect(digestsOf(stored)).toEqual(digestsOf(run));
    expect(asked).toEqual(Array(Math.ceil(run.length / MAX_BATCHES_PER_REQUEST)).fill(2));
  });

  it('that the first does not have are asked of the next; nobody is asked for what came', async () => {
    answers.set(1, honestly(run.slice(0, 3)));
    answers.set(2, () => Promise.reject(new Error('a timeout')));
    answers.set(3, honestly(run));
    await batchFetcher().fetch(refsOf(run.slice(0, 5)), [1, 2, 3]);
    expect(asked).toEqual([1, 2, 3]);
    expect(stored).toHaveLength(5);
    expect(blamed).toEqual([]);
  });

  it('that did not fit into an answer are asked of the same peer again, of one that sends little of the next', async () => {
    const bulk = [0, 1, 2].map((number) => transaction(1, number, 100_000));
    const all = Array.from({ length: 17 }, (_, seq) => sealBatch(genesis, 1, { seq }, bulk));
    const atATime =
      (count: number): Answer =>
      (request) => {
        const digests = BatchesRequest.deserialize(request).map(toHex);
        return answerWith(all.filter(({ digest }) => digests.includes(toHex(digest))).slice(0, count));
      };
    answers.set(1, atATime(1));
    answers.set(2, atATime(8));
    await batchFetcher().fetch(refsOf(all), [1, 2]);
    expect(asked).toEqual([1, 2, 2]);
    expect(digestsOf(stored)).toEqual(digestsOf(all));
  });

  it('come back empty-handed if nobody has them, and may be asked for again', async () => {
    answers.set(1, () => answerWith([]));
    const fetcher = batchFetcher();
    await fetcher.fetch(refsOf(run.slice(0, 2)), []);
    answers.set(1, honestly(run));
    await fetcher.fetch(refsOf(run.slice(0, 2)), []);
    expect([asked.length, stored.length]).toEqual([2, 2]);
  });

  it('that are held or on their way are not asked for', async () => {
    let release = () => {};
    answers.set(1, async (request) => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return honestly(run)(request);
    });
    const fetcher = batchFetcher((digest) => digest === toHex(run[0]!.digest));
    const first = fetcher.fetch(refsOf(run.slice(0, 3)), []);
    await fetcher.fetch(refsOf(run.slice(0, 3)), []);
    release();
    await first;
    expect([asked.length, digestsOf(stored)]).toEqual([1, digestsOf(run.slice(1, 3))]);
  });

  it('are asked for up to the limit at a time, and no more', async () => {
    const many = Array.from({ length: MAX_BATCHES_IN_FETCH + 1 }, (_, i) => ({
      author: 1,
      seq: i,
      rollupId: 901,
      digest: new Uint8Array(32).fill(i % 251).fill(Math.floor(i / 251) + 1, 0, 2),
      joinsNext: false,
    }));
    let wanted = 0;
    answers.set(1, (request) => {
      wanted += BatchesRequest.deserialize(request).length;
      return answerWith([]);
    });
    await batchFetcher().fetch(many, []);
    expect(wanted).toBe(MAX_BATCHES_IN_FETCH);
  });

  const [good, other] = run as [StoredBatch, StoredBatch];
  const forged = { ...good, batch: { ...good.batch, body: other.batch.body } };
  const unsigned = sealBatch(genesis, 1);
  const lies: readonly (readonly [string, Uint8Array, RegExp | undefined])[] = [
    ['bytes that are no list', Uint8Array.of(1, 2, 3), /answered a request for batches/],
    ['a batch that is none', BatchesResponse.serialize([new Uint8Array(300)]), /a batch that is none/],
    ['the header over another body', answerWith([forged]), /not the one asked for/],
    [
      'the header without its signature',
      answerWith([
        {
          ...unsigned,
          batch: { ...unsigned.batch, signed: { ...unsigned.batch.signed, signature: new Uint8Array(64) } },
        },
      ]),
      undefined,
    ],
    ['another batch', answerWith([other]), undefined],
  ];

  it.each(lies)('a lie is not believed, and another peer is asked: %s', async (_, lie, reason) => {
    answers.set(1, () => lie);
    answers.set(2, honestly([good, unsigned]));
    const wanted = [good, unsigned];
    await batchFetcher().fetch(refsOf(wanted.slice(0, 2)), [1]);
    expect(asked).toEqual([1, 2]);
    expect(digestsOf(stored)).toEqual([...new Set(digestsOf(wanted))]);
    if (reason) expect(blamed).toEqual([expect.stringMatching(reason)]);
    else expect(blamed).toEqual([]);
  });

  it('of final blocks are taken whoever signed them, and only with their own bodies', async () => {
    const anySignature = {
      ...good,
      batch: { ...good.batch, signed: { ...good.batch.signed, signature: new Uint8Array(64) } },
    };
    answers.set(1, () => answerWith([forged]));
    answers.set(2, () => answerWith([anySignature]));
    await batchFetcher(() => false, true).fetch([refOf(good)], [1]);
    expect(asked).toEqual([1, 2]);
    expect(stored).toEqual([{ ...anySignature, encoded: encodeBatch(anySignature.batch) }]);
    expect(blamed).toEqual([expect.stringMatching(/^1: .*not the one asked for/)]);
  });

  it('mutations of an answer bring in nothing that was not asked for', async () => {
    const answer = answerWith([good]);
    for (const lie of mutations(answer, 128, 11)) {
      answers.set(1, () => lie);
      await batchFetcher().fetch([refOf(good)], []);
    }
    // A body may be longer than its offset says only if it does not decode: what is stored is the batch itself.
    for (const { digest, batch, encoded } of stored) {
      expect(toHex(digest)).toBe(toHex(good.digest));
      expect(encodeBatch(batch)).toEqual(encodeBatch(good.batch));
      expect(encoded).toEqual(encodeBatch(good.batch));
    }
  });
});

function blockAt(height: number, change: Partial<Block['header']> = {}): Block {
  const { header } = genesisBlock(genesis.networkId, 0);
  const refs = [refOf(sealBatch(genesis, 1, { seq: height }))];
  return { header: { ...header, height, view: height, refsRoot: BatchRefs.hashTreeRoot(refs), ...change }, refs };
}

function blockFetcher(): BlockFetcher {
  return new BlockFetcher({
    // Whoever is asked here is connected.
    validators: 0,
    network: () => network,
    submit: (input) => void inputs.push(input),
    blame: (peer, reason) => void blamed.push(`${peer}: ${reason}`),
    logger: silentLogger,
  });
}

describe('a block by hash', () => {
  const block = blockAt(5);
  const hash = blockHash(block.header);
  const honest = () => BlockResponse.serialize([block]);

  it('comes from a holder', async () => {
    for (const peer of [1, 2, 3]) answers.set(peer, honest);
    await blockFetcher().fetchBlock(hash, [3]);
    expect([asked, inputs]).toEqual([[3], [{ type: 'blockFetched', from: 3, block }]]);
  });

  it.each([
    ['bytes that are none', Uint8Array.of(9), true],
    ['another block', BlockResponse.serialize([blockAt(6)]), true],
    ['its header over other refs', BlockResponse.serialize([{ ...block, refs: blockAt(6).refs }]), true],
    ['nothing', BlockResponse.serialize([]), false],
  ])('is asked of another one after an answer with %s', async (_, lie, isLie) => {
    answers.set(1, () => lie);
    answers.set(2, honest);
    await blockFetcher().fetchBlock(hash, [1]);
    expect(asked).toEqual([1, 2]);
    expect(inputs).toEqual([{ type: 'blockFetched', from: 2, block }]);
    expect(blamed.length).toBe(isLie ? 1 : 0);
    for (const entry of blamed) expect(entry).toMatch(/^1: /);
  });

  it('is asked for once at a time, and so many blocks in all', async () => {
    const waiting: (() => void)[] = [];
    answers.set(1, () => new Promise((resolve) => waiting.push(() => resolve(BlockResponse.serialize([])))));
    const fetcher = blockFetcher();
    const hashes = Array.from({ length: MAX_BLOCKS_IN_FETCH + 1 }, (_, i) => new Uint8Array(32).fill(i));
    const fetches = [...hashes, ...hashes].map((one) => fetcher.fetchBlock(one, []));
    expect(asked).toHaveLength(MAX_BLOCKS_IN_FETCH);
    for (const let_ of waiting) let_();
    await Promise.all(fetches);
    void fetcher.fetchBlock(hashes[0]!, []);
    expect(asked).toHaveLength(MAX_BLOCKS_IN_FETCH + 1);
  });
});

describe('a range', () => {
  const blocks = [5, 6, 7].map((height) => blockAt(height));
  const certificate: Certificate = genesisCertificate(4, ZERO_HASH);
  const answerOf = (range: readonly Block[], certificates: readonly Certificate[] = [certificate]) =>
    RangeResponse.serialize({ blocks: [...range], certificates: [...certificates] });

  it.each([
    ['bytes that are none', Uint8Array.of(9), true],
    ['blocks from another height on', answerOf(blocks.slice(1)), true],
    ['no blocks', answerOf([], []), false],
    ['blocks without a certificate', answerOf(blocks, []), false],
    ['a certificate of no kind', answerOf(blocks, [{ ...certificate, kind: 9 as Certificate['kind'] }]), true],
  ])('is asked of another one after an answer with %s', async (_, lie, isLie) => {
    answers.set(1, () => lie);
    answers.set(2, () => answerOf(blocks));
    await blockFetcher().fetchRange(5, [1]);
    expect(asked).toEqual([1, 2]);
    expect(inputs).toMatchObject([{ type: 'rangeFetched', from: 2, blocks: { length: 3 } }]);
    expect(blamed.length).toBe(isLie ? 1 : 0);
  });

  it('is asked for one at a time, and the next one from within the answer', async () => {
    answers.set(1, () => answerOf(blocks));
    let again: Promise<unknown> | undefined;
    const fetcher: BlockFetcher = new BlockFetcher({
      validators: 4,
      network: () => network,
      submit: (input) => {
        inputs.push(input);
        if (inputs.length === 1) again = fetcher.fetchRange(5, []);
      },
      blame: () => {},
      logger: silentLogger,
    });
    await Promise.all([fetcher.fetchRange(5, []), fetcher.fetchRange(5, [])]);
    await again;
    expect([asked.length, inputs.length]).toEqual([2, 2]);
  });

  it('is asked of others behind the validators; what they answer lies on no validator', async () => {
    answers.set(1, () => Promise.reject(new Error('a timeout')));
    answers.set(2, () => answerOf([], []));
    strangers.set('later', () => answerOf(blocks));
    expect(await blockFetcher().fetchRange(5, [1])).toMatchObject({ from: undefined, without: [2] });
    expect(asked).toEqual([1, 2, 'later']);
    expect(inputs).toMatchObject([{ type: 'rangeFetched', from: undefined, blocks: { length: 3 } }]);
    strangers.set('later', () => answerOf(blocks.slice(1)));
    await blockFetcher().fetchRange(5, [1]);
    expect(inputs).toHaveLength(1);
    expect(blamed).toEqual([expect.stringMatching(/^later: /)]);
  });

  it('is asked of validators only by who wants to know whether there is one', async () => {
    answers.set(1, () => answerOf([], []));
    strangers.set('later', () => answerOf(blocks));
    await blockFetcher().fetchRange(5, [], 'validators');
    expect([asked, inputs]).toEqual([[1], []]);
  });

  it('is asked of so many others and no more, those first that lately answered', async () => {
    for (let i = 0; i <= MAX_OTHER_PEERS_ASKED; i++)
      strangers.set(`other-${i}`, () => Promise.reject(new Error('a timeout')));
    const fetcher = blockFetcher();
    await fetcher.fetchRange(5, []);
    expect(new Set(asked).size).toBe(MAX_OTHER_PEERS_ASKED);
    const left = [...strangers.keys()].find((peer) => !asked.includes(peer));
    await fetcher.fetchRange(5, []);
    expect(asked[MAX_OTHER_PEERS_ASKED]).toBe(left);
    expect(asked).toHaveLength(2 * MAX_OTHER_PEERS_ASKED);
  });

  it('mutations of an answer never end in anything but a range, blame, or the next peer', async () => {
    for (const lie of mutations(answerOf(blocks), 128, 21)) {
      answers.set(1, () => lie);
      await blockFetcher().fetchRange(5, []);
    }
    for (const input of inputs) expect(input.type).toBe('rangeFetched');
    expect(inputs.length + blamed.length).toBeGreaterThan(100);
    expect(BlockRequest.fixedSize).toBe(32);
  });
});

describe('the end of an epoch', () => {
  const proof = HandOverProof.serialize({
    boundaryHeader: blockAt(16).header,
    path: [],
    certificate: { ...genesisCertificate(4, ZERO_HASH), kind: VoteKind.finalize },
    nextValidatorSet: { ...genesis.validatorSet, epoch: 1 },
  });

  it('is asked of one after the other until it is had', async () => {
    answers.set(1, () => new Uint8Array());
    answers.set(2, () => proof);
    await blockFetcher().fetchHandOver(0, [1]);
    expect(asked).toEqual([1, 2]);
    expect(inputs).toMatchObject([{ type: 'handOverFetched', from: 2, proof: { path: [] } }]);
    expect(blamed).toEqual([]);
  });

  it('is asked of validators without a channel too: they may have gone on without this node', async () => {
    const fetcher = new BlockFetcher({
      validators: 4,
      network: () => ({
        connectedValidators: [],
        otherPeers: [],
        request: async (to) => (to === 3 ? proof : Promise.reject(new Error())),
      }),
      submit: (input) => void inputs.push(input),
      blame: (peer, reason) => void blamed.push(`${peer}: ${reason}`),
      logger: silentLogger,
    });
    await fetcher.fetchHandOver(0, []);
    expect(inputs).toMatchObject([{ type: 'handOverFetched', from: 3 }]);
  });

  it('is asked of others behind the validators: of the set nobody may be left', async () => {
    answers.set(1, () => new Uint8Array());
    strangers.set('later', () => proof);
    await blockFetcher().fetchHandOver(0, [1]);
    expect(asked).toEqual([1, 'later']);
    expect(inputs).toMatchObject([{ type: 'handOverFetched', from: undefined, proof: { path: [] } }]);
  });

  it('is no garbage', async () => {
    answers.set(1, () => proof.subarray(1));
    await blockFetcher().fetchHandOver(0, []);
    expect(inputs).toEqual([]);
    expect(blamed).toHaveLength(1);
  });
});
