/** What peers may ask: batches by digest, blocks by hash, ranges of final blocks; within limits, and nothing malformed. */

import { type NodeStore, openMemoryNodeStore } from '@squad/storage';
import {
  BatchesRequest,
  BatchesResponse,
  type BatchRef,
  BatchRefs,
  Block,
  BlockRequest,
  BlockResponse,
  blockHash,
  blockHashHex,
  Certificate,
  decodeRangeResponse,
  encodeBatch,
  encodeRangeResponse,
  fromHex,
  genesisBlock,
  genesisCertificate,
  MAX_BATCH_REFS_PER_BLOCK,
  MAX_BATCHES_PER_REQUEST,
  MAX_BLOCKS_PER_RANGE,
  RangeRequest,
  RangeResponse,
  toHex,
} from '@squad/types';
import { beforeEach, describe, expect, it } from 'vitest';
import { HandOvers } from '../src/hand-overs.ts';
import { answerRequest, MAX_BATCHES_ANSWER_BYTES, MAX_RANGE_ANSWER_BYTES } from '../src/peer-requests.ts';
import { createGenesis, mutations, refOf, sealRun } from './support.ts';

const genesis = createGenesis(4);
const run = sealRun(genesis, 1, MAX_BATCHES_PER_REQUEST);

let store: NodeStore;
let above: Map<string, Block>;
const node = (epochLengthBlocks = 1_000_000) => ({
  store,
  core: { block: (hash: string) => above.get(hash) },
  handOvers: new HandOvers(store),
  epochLengthBlocks,
});

const REFS = run.slice(0, 20).map(refOf);
function blockAt(height: number, refs: readonly BatchRef[] = REFS): Block {
  const { header } = genesisBlock(genesis.networkId, 0);
  return { header: { ...header, height, view: height, refsRoot: BatchRefs.hashTreeRoot([...refs]) }, refs: [...refs] };
}

/** Blocks 1 to `count`; those of `certified` have a finalization of their own. */
async function fill(count: number, certified: (height: number) => boolean, refs = REFS): Promise<void> {
  for (let height = 1; height <= count; height++) {
    const block = blockAt(height, refs);
    const certificate = certified(height)
      ? Certificate.serialize({ ...genesisCertificate(4, blockHash(block.header)), view: height })
      : undefined;
    store.appendTurn({
      finals: [
        { height, hash: blockHashHex(block.header), block: Block.serialize(block), certificate, batchDigests: [] },
      ],
    });
  }
  await store.sync();
}

beforeEach(async () => {
  store = await openMemoryNodeStore();
  above = new Map();
  store.appendTurn({ batches: run.map(({ batch, digest }) => ({ digest: toHex(digest), bytes: encodeBatch(batch) })) });
  await store.sync();
});

async function range(fromHeight: number) {
  const answer = decodeRangeResponse(await answerRequest('range', RangeRequest.serialize({ fromHeight }), node()));
  if (!answer.ok) throw new Error(answer.error.reason);
  const { blocks, certificates } = answer.value;
  return { heights: blocks.map(({ header }) => header.height), views: certificates.map(({ view }) => view) };
}
const upTo = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

describe('batches', () => {
  it('come as many as may be asked for, without those that are not held', async () => {
    const digests = [
      ...run.slice(0, MAX_BATCHES_PER_REQUEST - 1).map(({ digest }) => digest),
      new Uint8Array(32).fill(1),
    ];
    const answer = await answerRequest('batches', BatchesRequest.serialize(digests), node());
    const expected = run.slice(0, MAX_BATCHES_PER_REQUEST - 1).map(({ batch }) => encodeBatch(batch));
    expect(BatchesResponse.deserialize(answer)).toEqual(expected);
  });

  it('end at the limit of bytes, with the one that reaches it', async () => {
    const half = MAX_BATCHES_ANSWER_BYTES / 2;
    const large = [half, half - 1, 1, 1].map((bytes, i) => ({
      digest: toHex(new Uint8Array(32).fill(i + 1)),
      bytes: new Uint8Array(bytes).fill(i),
    }));
    const sizes: number[] = [];
    const store = {
      readBatches: async (digests: readonly string[]) =>
        digests.map((digest) => large.find((one) => one.digest === digest)?.bytes),
    } as unknown as NodeStore;
    const digests = large.map(({ digest }) => fromHex(digest));
    const answer = await answerRequest('batches', BatchesRequest.serialize(digests), { ...node(), store });
    // SSZ lists of bytes: the offset of the first says how many there are.
    const count = new DataView(answer.buffer, answer.byteOffset).getUint32(0, true) / 4;
    sizes.push(count, answer.length - 4 * count);
    expect(sizes).toEqual([3, MAX_BATCHES_ANSWER_BYTES]);
  });

  it('are refused beyond the limit', async () => {
    const digests = new Uint8Array(32 * (MAX_BATCHES_PER_REQUEST + 1));
    await expect(answerRequest('batches', digests, node())).rejects.toThrow(RangeError);
  });
});

describe('a block by hash', () => {
  const ask = async (block: Block) =>
    BlockResponse.deserialize(
      await answerRequest('block', BlockRequest.serialize({ hash: blockHash(block.header) }), node()),
    );

  it('comes if it is final, if it is above the final one, and not if it is unknown', async () => {
    await fill(3, () => true);
    above.set(blockHashHex(blockAt(9).header), blockAt(9));
    expect(await ask(blockAt(2))).toEqual([blockAt(2)]);
    expect(await ask(blockAt(9))).toEqual([blockAt(9)]);
    expect(await ask(blockAt(4))).toEqual([]);
  });
});

describe('a range', () => {
  it('ends at the last block with a finalization of its own, and carries that', async () => {
    await fill(10, (height) => height % 4 === 0);
    expect(await range(1)).toEqual({ heights: upTo(1, 8), views: [8] });
    expect(await range(6)).toEqual({ heights: [6, 7, 8], views: [8] });
    expect(await range(9)).toEqual({ heights: [], views: [] });
  });

  it('is encoded as SSZ has it, without decoding what is stored', async () => {
    const blocks = [1, 2, 3].map((height) => blockAt(height, REFS.slice(0, height)));
    const certificate = { ...genesisCertificate(4, blockHash(blocks[2]!.header)), view: 3 };
    for (const range of [
      { blocks, certificates: [certificate] },
      { blocks: [], certificates: [] },
    ]) {
      const encoded = encodeRangeResponse(
        range.blocks.map((block) => Block.serialize(block)),
        range.certificates.map((one) => Certificate.serialize(one)),
      );
      expect(encoded).toEqual(RangeResponse.serialize(range));
    }
  });

  it('is empty below the first block, above the head, and for heights beyond all', async () => {
    await fill(3, () => true);
    for (const height of [0, 4, 1_000_000, Number.MAX_SAFE_INTEGER]) {
      expect(await range(height)).toEqual({ heights: [], views: [] });
    }
  });

  it('ends at the limit of blocks, or the last finalization before it', async () => {
    await fill(MAX_BLOCKS_PER_RANGE + 10, (height) => height % 10 === 0 || height === MAX_BLOCKS_PER_RANGE + 1);
    expect(await range(1)).toEqual({ heights: upTo(1, 120), views: [120] });
    expect((await range(2)).heights).toEqual(upTo(2, MAX_BLOCKS_PER_RANGE + 1));
  });

  it('ends at the limit of bytes, at a finalization', async () => {
    const refs = Array.from({ length: MAX_BATCH_REFS_PER_BLOCK }, (_, seq) => ({ ...REFS[0]!, seq }));
    await fill(MAX_BLOCKS_PER_RANGE, (height) => height % 7 === 0, refs);
    const { block } = (await store.readBlock(1))!;
    const fit = Math.floor(MAX_RANGE_ANSWER_BYTES / block.length);
    expect(fit).toBeLessThan(MAX_BLOCKS_PER_RANGE);
    expect((await range(1)).heights).toEqual(upTo(1, fit - (fit % 7)));
  });

  it('goes beyond the limit of bytes for the first finalization', async () => {
    const refs = Array.from({ length: MAX_BATCH_REFS_PER_BLOCK }, (_, seq) => ({ ...REFS[0]!, seq }));
    await fill(MAX_BLOCKS_PER_RANGE, (height) => height >= 120, refs);
    expect((await range(1)).heights).toEqual(upTo(1, 120));
  });
});

describe('a malformed request', () => {
  it.each([
    ['batches', BatchesRequest.serialize(run.slice(0, 3).map(({ digest }) => digest))],
    ['block', BlockRequest.serialize({ hash: new Uint8Array(32).fill(3) })],
    ['range', RangeRequest.serialize({ fromHeight: 2 })],
  ] as const)('for %s is refused, or answered as another one; nothing else is thrown', async (protocol, request) => {
    await fill(3, () => true);
    let refused = 0;
    for (const bytes of mutations(request, 160, protocol.length)) {
      try {
        expect(await answerRequest(protocol, bytes, node())).toBeInstanceOf(Uint8Array);
      } catch (error) {
        refused++;
        expect(error).toBeInstanceOf(RangeError);
      }
    }
    expect(refused).toBeGreaterThan(64);
  });
});
