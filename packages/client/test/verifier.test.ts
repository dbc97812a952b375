/** Each way in which a sequencer could lie about the sequence, and the code with which it is refused. */

import { blstBls, sha256 } from '@squad/crypto/node';
import {
  type BatchHeader,
  type Certificate,
  decodeBatch,
  encodeBatch,
  encodeBody,
  FeedBlock,
  FeedStage,
  MAX_FEED_BLOCK_BYTES,
  signerBits,
  VoteKind,
  ZERO_HASH,
} from '@squad/types';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type BlockPoint, createVerifier, type Verifier } from '../src/index.ts';
import { HonestChain, transaction } from '../src/testing/honest-chain.ts';

const ROLLUP = 901;
const OTHER = 902;

let chain: HonestChain;
let verifier: Verifier;

const verifierOf = (of: HonestChain) => createVerifier({ ...parts(of), rollupId: ROLLUP, sha256 });
const parts = ({ networkId, genesisTimeMs, validatorSet, scheme, genesisFile }: HonestChain) => ({
  epochLengthBlocks: genesisFile.epochLengthBlocks,
  networkId,
  genesisTimeMs,
  validatorSet,
  scheme,
});
const newChain = (weights?: number[], seed?: number) =>
  new HonestChain({ bls: blstBls, sha256, ...(weights ? { weights } : {}), ...(seed ? { seed } : {}) });

/** Block 1: three batches of this rollup, one of another between them. Blocks 2 to 4 follow. */
beforeAll(() => {
  chain = newChain();
  chain.append([
    { rollupId: ROLLUP, author: 0, transactions: [transaction(100, 1), transaction(5000, 2)] },
    { rollupId: OTHER, author: 1, transactions: [transaction(60, 3)] },
    { rollupId: ROLLUP, author: 1, transactions: [transaction(70, 4)] },
    { rollupId: ROLLUP, author: 2, transactions: [transaction(80, 5)] },
  ]);
  for (let seed = 10; seed < 13; seed++) chain.append([{ rollupId: OTHER, transactions: [transaction(50, seed)] }]);
  verifier = verifierOf(chain);
});

const at = (height: number): BlockPoint => ({ height, hash: chain.hashAt(height) });
const good = () => chain.feedBlock(1, ROLLUP);
const refusal = (block: FeedBlock | Uint8Array, known = verifier.genesis, by = verifier) => {
  const result = by.verifyFeedBlock(block, known);
  if (result.ok) throw new Error('it was accepted');
  return result.error;
};
const withCertificate = (certificate: Partial<Certificate>): FeedBlock => {
  const block = good();
  return { ...block, certificate: { ...block.certificate, ...certificate } };
};
const flipped = (bytes: Uint8Array, index: number, mask = 1) => {
  const copy = bytes.slice();
  copy[index]! ^= mask;
  return copy;
};
const replaced = <T>(list: readonly T[], index: number, value: T) => list.map((old, i) => (i === index ? value : old));

describe('what an honest sequencer posts', () => {
  it('is accepted, decoded or encoded, with the batches of this rollup alone', () => {
    for (const input of [good(), FeedBlock.serialize(good())]) {
      const result = verifier.verifyFeedBlock(input, verifier.genesis);
      if (!result.ok) throw new Error(result.error.message);
      expect(result.value).toMatchObject({ stage: 'final', rollupId: ROLLUP, hash: chain.hashAt(1) });
      expect(result.value.batches.map(({ ref }) => [ref.author, ref.seq])).toEqual([
        [0, 0],
        [1, 1],
        [2, 0],
      ]);
      expect(result.value.batches[1]!.body).toEqual(encodeBody([transaction(70, 4)]));
    }
  });

  it('is accepted as soft with a notarization, also above a gap', () => {
    for (const known of [verifier.genesis, at(2)]) {
      const result = verifier.verifyFeedBlock(chain.feedBlock(3, ROLLUP, { stage: FeedStage.soft }), known);
      expect(result).toMatchObject({ ok: true, value: { stage: 'soft', batches: [] } });
    }
  });

  it('is accepted where a later finalization covers it by a path', () => {
    const result = verifier.verifyFeedBlock(chain.feedBlock(1, ROLLUP, { certifiedHeight: 4 }), verifier.genesis);
    expect(result).toMatchObject({ ok: true, value: { hash: chain.hashAt(1) } });
  });

  it('is accepted without bodies if they are held from the soft block, or there are none', () => {
    const soft = verifier.verifyFeedBlock(chain.feedBlock(1, ROLLUP, { stage: FeedStage.soft }), verifier.genesis);
    if (!soft.ok) throw new Error(soft.error.message);
    const omitted = chain.feedBlock(1, ROLLUP, { bodiesOmitted: true });
    const result = verifier.verifyFeedBlock(omitted, verifier.genesis, () => soft.value.batches);
    expect(result.ok && result.value.batches).toEqual(soft.value.batches);
    expect(verifier.verifyFeedBlock(chain.feedBlock(2, ROLLUP, { bodiesOmitted: true }), at(1)).ok).toBe(true);
  });

  it('costs one signature check for each certificate, however often it comes', () => {
    let checks = 0;
    const counting = {
      ...parts(chain),
      scheme: {
        verify: (...input: Parameters<HonestChain['scheme']['verify']>) => {
          checks++;
          return chain.scheme.verify(...input);
        },
      },
    };
    const verifier = createVerifier({ ...counting, rollupId: ROLLUP, sha256 });
    const certificate = chain.certify(VoteKind.finalize, chain.blocks[4]!.header);
    for (let height = 1; height <= 4; height++) {
      const block = { ...chain.feedBlock(height, ROLLUP, { certifiedHeight: 4 }), certificate };
      expect(verifier.verifyFeedBlock(block, at(height - 1)).ok).toBe(true);
    }
    expect(checks).toBe(1);
    refusal({ ...good(), certificate: { ...good().certificate, signature: new Uint8Array(96) } }, undefined, verifier);
    expect(checks).toBe(2);
  });
});

describe('a lie about the certificate is refused', () => {
  it('a signer’s bit added', () => {
    expect(refusal(withCertificate({ signers: signerBits(4, [0, 1, 2, 3]) })).code).toBe('BAD_SIGNATURE');
  });
  it('a signer’s bit moved', () => {
    expect(refusal(withCertificate({ signers: signerBits(4, [0, 1, 3]) })).code).toBe('BAD_SIGNATURE');
  });
  it('a signer’s bit removed', () => {
    const error = refusal(withCertificate({ signers: signerBits(4, [0, 1]) }));
    expect(error.code).toBe('BELOW_QUORUM');
    expect(error.message).toBe(
      "the final block at height 1 was refused: the certificate's 2 signers weigh 2 of 4, a quorum is 3",
    );
  });
  it('a byte of the signature changed', () => {
    expect(refusal(withCertificate({ signature: flipped(good().certificate.signature, 50) })).code).toBe(
      'BAD_SIGNATURE',
    );
  });
  it('a signer that is not in the set', () => {
    expect(refusal(withCertificate({ signers: signerBits(5, [0, 1, 4]) })).code).toBe('UNKNOWN_SIGNER');
  });
  it('a bitmap shorter than the set', () => {
    expect(refusal(withCertificate({ signers: signerBits(3, [0, 1, 2]) })).code).toBe('UNKNOWN_SIGNER');
  });
  it('a quorum of keys of another set', () => {
    const foreign = newChain([1, 1, 1, 1], 7);
    const certificate = foreign.certify(VoteKind.finalize, chain.blocks[1]!.header);
    expect(refusal({ ...good(), certificate }).code).toBe('BAD_SIGNATURE');
  });
  it('enough signers, not enough weight', () => {
    const heavy = newChain([10, 1, 1, 1]);
    heavy.append([]);
    const certificate = heavy.certify(VoteKind.finalize, heavy.blocks[1]!.header, [1, 2, 3]);
    const by = verifierOf(heavy);
    expect(refusal({ ...heavy.feedBlock(1, ROLLUP), certificate }, by.genesis, by).code).toBe('BELOW_QUORUM');
  });
  it('2F + 1 of five, which is no quorum', () => {
    const five = newChain([1, 1, 1, 1, 1]);
    five.append([]);
    const certificate = five.certify(VoteKind.finalize, five.blocks[1]!.header, [0, 1, 2]);
    const by = verifierOf(five);
    expect(refusal({ ...five.feedBlock(1, ROLLUP), certificate }, by.genesis, by).code).toBe('BELOW_QUORUM');
  });
  it('another epoch', () => {
    const certificate = chain.certify(VoteKind.finalize, chain.blocks[1]!.header, [0, 1, 2], { epoch: 1 });
    expect(refusal({ ...good(), certificate }).code).toBe('WRONG_EPOCH');
  });
  it('a notarization where a finalization is needed', () => {
    const certificate = chain.certify(VoteKind.notarize, chain.blocks[1]!.header);
    expect(refusal({ ...good(), certificate }).code).toBe('WRONG_CERTIFICATE_KIND');
  });
  it('a notarization passed off as a finalization', () => {
    const certificate = chain.certify(VoteKind.notarize, chain.blocks[1]!.header);
    expect(refusal({ ...good(), certificate: { ...certificate, kind: VoteKind.finalize } }).code).toBe('BAD_SIGNATURE');
  });
  it('a finalization on a soft block', () => {
    expect(refusal({ ...good(), stage: FeedStage.soft }).code).toBe('WRONG_CERTIFICATE_KIND');
  });
  it('another block’s certificate', () => {
    expect(refusal({ ...good(), certificate: chain.feedBlock(2, ROLLUP).certificate }).code).toBe(
      'CERTIFICATE_MISMATCH',
    );
  });
  it('another view than the block’s', () => {
    const certificate = chain.certify(VoteKind.finalize, chain.blocks[1]!.header, [0, 1, 2], { view: 9 });
    expect(refusal({ ...good(), certificate }).code).toBe('CERTIFICATE_MISMATCH');
  });
});

describe('a lie about the block is refused', () => {
  const certified = (change: Parameters<HonestChain['append']>[1], refs: Refs = []) => {
    const fork = newChain();
    const block = fork.appendRefs(refs, change);
    return fork.wrap(block, ROLLUP, fork.certify(VoteKind.finalize, block.header));
  };
  type Refs = Parameters<HonestChain['appendRefs']>[0];

  it('a header that differs from the certified one', () => {
    const { block, ...rest } = good();
    const header = { ...block.header, timestampMs: block.header.timestampMs + 1 };
    expect(refusal({ ...rest, block: { ...block, header } }).code).toBe('CERTIFICATE_MISMATCH');
  });
  it('the feed of another rollup', () => {
    expect(refusal(chain.feedBlock(1, OTHER)).code).toBe('WRONG_ROLLUP');
  });
  it('another network', () => {
    expect(refusal(certified({ networkId: new Uint8Array(32) })).code).toBe('WRONG_NETWORK');
  });
  it('another version', () => {
    expect(refusal(certified({ version: 2 })).code).toBe('WRONG_VERSION');
  });
  it('another epoch', () => {
    expect(refusal(certified({ epoch: 1 })).code).toBe('WRONG_EPOCH');
  });

  it('of an epilogue, though a quorum finalized it', () => {
    const ending = new HonestChain({ bls: blstBls, sha256, epochLengthBlocks: 16 });
    for (let i = 0; i < 16; i++) ending.append([]);
    const { header, refs } = ending.build([], { epoch: 0, view: 17, parentView: 16, nextValidatorSetHash: ZERO_HASH });
    const block = ending.wrap({ header, refs }, ROLLUP, ending.certify(VoteKind.finalize, header));
    const known = { height: 16, hash: ending.hashAt(16) };
    const result = verifierOf(ending).verifyFeedBlock(block, known);
    expect(!result.ok && result.error.code).toBe('EPILOGUE');
  });
  it('another parent', () => {
    const known = { height: 1, hash: chain.hashAt(2) };
    expect(refusal(chain.feedBlock(2, ROLLUP), known).code).toBe('PARENT_MISMATCH');
  });
  it('a height that is final already (a stale head)', () => {
    expect(refusal(chain.feedBlock(2, ROLLUP), at(3)).code).toBe('STALE');
    expect(refusal(chain.feedBlock(2, ROLLUP, { stage: FeedStage.soft }), at(3)).code).toBe('STALE');
  });
  it('a height above the next one', () => {
    expect(refusal(chain.feedBlock(3, ROLLUP), at(1)).code).toBe('GAP');
  });
  it('a path that leaves out a header', () => {
    const block = chain.feedBlock(1, ROLLUP, { certifiedHeight: 4 });
    expect(refusal({ ...block, path: [block.path[0]!, block.path[2]!] }).code).toBe('PATH_BROKEN');
  });
  it('a path through a header of another branch', () => {
    const block = chain.feedBlock(1, ROLLUP, { certifiedHeight: 4 });
    const strange = { ...block.path[1]!, timestampMs: 5 };
    expect(refusal({ ...block, path: replaced(block.path, 1, strange) }).code).toBe('PATH_BROKEN');
  });
  it('a path that stops before the certified header', () => {
    const block = chain.feedBlock(1, ROLLUP, { certifiedHeight: 4 });
    expect(refusal({ ...block, path: block.path.slice(0, 2) }).code).toBe('CERTIFICATE_MISMATCH');
  });
  it('a path that links by hash and leaps over a height', () => {
    const fork = newChain();
    const first = fork.append([]);
    const leap = fork.append([], { height: 3 });
    const block = fork.wrap(first, ROLLUP, fork.certify(VoteKind.finalize, leap.header));
    expect(refusal({ ...block, path: [leap.header] }).code).toBe('PATH_BROKEN');
  });
  it('a path on a soft block', () => {
    const block = chain.feedBlock(1, ROLLUP, { stage: FeedStage.soft });
    expect(refusal({ ...block, path: [chain.blocks[2]!.header] }).code).toBe('ENCODING');
  });
});

describe('a lie about the refs is refused', () => {
  const withRefs = (change: (refs: FeedBlock['block']['refs']) => FeedBlock['block']['refs']): FeedBlock => {
    const block = good();
    return { ...block, block: { ...block.block, refs: change(block.block.refs) } };
  };

  it('a ref changed', () => {
    const block = withRefs((refs) => replaced(refs, 2, { ...refs[2]!, seq: 9 }));
    expect(refusal(block).code).toBe('REFS_ROOT_MISMATCH');
  });
  it('a ref of this rollup dropped together with its batch', () => {
    const block = withRefs((refs) => refs.filter((_, index) => index !== 2));
    expect(refusal({ ...block, batches: block.batches.filter((_, index) => index !== 1) }).code).toBe(
      'REFS_ROOT_MISMATCH',
    );
  });
  it('a ref handed to another rollup', () => {
    const block = withRefs((refs) => replaced(refs, 0, { ...refs[0]!, rollupId: OTHER }));
    expect(refusal({ ...block, batches: block.batches.slice(1) }).code).toBe('REFS_ROOT_MISMATCH');
  });
  it('refs in another order', () => {
    expect(refusal(withRefs(([a, b, c, d]) => [a!, b!, d!, c!])).code).toBe('REFS_ROOT_MISMATCH');
  });
});

describe('a lie about the batches is refused', () => {
  const withBatches = (change: (batches: Uint8Array[]) => Uint8Array[]): FeedBlock => {
    const block = good();
    return { ...block, batches: change(block.batches) };
  };
  /** A block of one batch whose header says what its ref, or its body, does not. */
  const lying = (change: Partial<BatchHeader>) => {
    const fork = newChain();
    const block = fork.appendRefs([fork.seal({ rollupId: ROLLUP, transactions: [transaction(40, 1)] }, change)]);
    return fork.wrap(block, ROLLUP, fork.certify(VoteKind.finalize, block.header));
  };

  it('a batch omitted, at the end or in the middle, is named', () => {
    expect(refusal(withBatches((batches) => batches.slice(0, 2)))).toMatchObject({
      code: 'BATCH_OMITTED',
      refIndex: 3,
    });
    const error = refusal(withBatches(([first, , third]) => [first!, third!]));
    expect(error).toMatchObject({ code: 'BATCH_OMITTED', refIndex: 2, height: 1 });
    expect(error.message).toMatch(/height 1 .*2 of 3 batches came, without that of ref 2 \(author 1, seq 1, 0x/);
  });
  it('all batches omitted', () => {
    expect(refusal(withBatches(() => [])).code).toBe('BATCH_OMITTED');
  });
  it('a batch more than is ordered', () => {
    expect(refusal(withBatches((batches) => [...batches, batches[0]!])).code).toBe('BATCH_EXTRA');
  });
  it('another rollup’s batch as well', () => {
    const foreign = chain.feedBlock(1, OTHER).batches;
    expect(refusal(withBatches((batches) => [...batches, ...foreign])).code).toBe('BATCH_EXTRA');
  });
  it('another rollup’s batch instead', () => {
    const foreign = chain.feedBlock(1, OTHER).batches[0]!;
    const error = refusal(withBatches((batches) => replaced(batches, 1, foreign)));
    expect(error).toMatchObject({ code: 'BATCH_DIGEST_MISMATCH', refIndex: 2 });
  });
  it('batches in another order', () => {
    const error = refusal(withBatches(([a, b, c]) => [a!, c!, b!]));
    expect(error).toMatchObject({ code: 'BATCH_MISPLACED', refIndex: 2 });
  });
  it('one batch twice, in the place of another', () => {
    expect(refusal(withBatches(([a, , c]) => [a!, a!, c!])).code).toBe('BATCH_MISPLACED');
  });
  it('a byte of a transaction changed', () => {
    const error = refusal(withBatches((batches) => replaced(batches, 0, flipped(batches[0]!, batches[0]!.length - 1))));
    expect(error).toMatchObject({ code: 'BODY_ROOT_MISMATCH', refIndex: 0 });
  });
  it('a body cut short', () => {
    const error = refusal(withBatches((batches) => replaced(batches, 0, batches[0]!.slice(0, -1))));
    expect(error).toMatchObject({ code: 'BATCH_ENCODING', refIndex: 0 });
  });
  it('a body with a transaction more', () => {
    const change = (bytes: Uint8Array) => {
      const batch = decodeBatch(bytes);
      if (!batch.ok) throw new Error(batch.error.reason);
      const body = encodeBody([transaction(70, 4), transaction(9, 9)]);
      const header = { ...batch.value.signed.header, byteLength: body.length, transactionCount: 2 };
      return encodeBatch({ signed: { ...batch.value.signed, header }, body });
    };
    const error = refusal(withBatches((batches) => replaced(batches, 1, change(batches[1]!))));
    expect(error).toMatchObject({ code: 'BATCH_DIGEST_MISMATCH', refIndex: 2 });
  });
  it('certified, but with a body root that is not the body’s', () => {
    expect(refusal(lying({ bodyRoot: new Uint8Array(32) })).code).toBe('BODY_ROOT_MISMATCH');
  });
  it('certified, but with a byte length or a count that is not the body’s', () => {
    expect(refusal(lying({ byteLength: 45 }), verifier.genesis).code).toBe('BATCH_ENCODING');
    expect(refusal(lying({ transactionCount: 2 }), verifier.genesis).code).toBe('BATCH_ENCODING');
  });
  it.each([
    ['author', { author: 3 }],
    ['seq', { seq: 7 }],
    ['rollup', { rollupId: OTHER }],
    ['network', { networkId: new Uint8Array(32) }],
  ])('certified, but with another %s than its ref', (_, change) => {
    expect(refusal(lying(change), verifier.genesis)).toMatchObject({ code: 'BATCH_HEADER_MISMATCH', refIndex: 0 });
  });
  it('bodies left out that are not held', () => {
    expect(refusal(chain.feedBlock(1, ROLLUP, { bodiesOmitted: true })).code).toBe('BODIES_NOT_HELD');
  });
  it('bodies said to be left out and given', () => {
    expect(refusal({ ...good(), bodiesOmitted: 1 }).code).toBe('ENCODING');
  });
  it('bodies left out of a soft block', () => {
    expect(refusal(chain.feedBlock(1, ROLLUP, { stage: FeedStage.soft, bodiesOmitted: true })).code).toBe('ENCODING');
  });
});

describe('bytes that are no block are refused', () => {
  it('empty', () => {
    expect(refusal(new Uint8Array())).toMatchObject({ code: 'ENCODING', height: undefined });
  });
  it('cut short at any length', () => {
    const bytes = FeedBlock.serialize(good());
    for (let length = 0; length < bytes.length; length += 7) refusal(bytes.subarray(0, length));
  });
  it('one byte too many', () => {
    const bytes = FeedBlock.serialize(good());
    expect(refusal(Uint8Array.of(...bytes, 0)).code).toMatch(/^(ENCODING|BATCH_ENCODING)$/);
  });
  it('longer than the limit', () => {
    const error = refusal(new Uint8Array(MAX_FEED_BLOCK_BYTES + 1));
    expect(error.code).toBe('ENCODING');
    expect(error.message).toContain('MAX_FEED_BLOCK_BYTES');
  });
  it('a stage, a kind or a flag that does not exist', () => {
    const block = good();
    const encoded = (change: Partial<FeedBlock>) => FeedBlock.serialize({ ...block, ...change });
    expect(refusal(encoded({ stage: 3 })).code).toBe('ENCODING');
    expect(refusal(encoded({ bodiesOmitted: 2 })).code).toBe('ENCODING');
    expect(refusal(encoded({ certificate: { ...block.certificate, kind: 4 as VoteKind } })).code).toBe('ENCODING');
  });
});

describe('any change of one byte', () => {
  it('is refused, or means the same', () => {
    const honest = [
      FeedBlock.serialize(good()),
      FeedBlock.serialize(chain.feedBlock(1, ROLLUP, { stage: FeedStage.soft })),
      FeedBlock.serialize(chain.feedBlock(1, ROLLUP, { certifiedHeight: 3 })),
    ];
    const proofs = honest.map((bytes) => verifier.verifyFeedBlock(bytes, verifier.genesis));
    const property = fc.property(
      fc.nat(honest.length - 1),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (which, position, mask) => {
        const bytes = honest[which]!;
        const result = verifier.verifyFeedBlock(flipped(bytes, position % bytes.length, mask), verifier.genesis);
        if (result.ok) expect(result).toEqual(proofs[which]);
      },
    );
    fc.assert(property, { numRuns: 3000 });
  });

  it('the only bytes that mean nothing are those of an author’s signature', () => {
    const bytes = FeedBlock.serialize(good());
    const accepted = [...bytes.keys()].filter(
      (index) => verifier.verifyFeedBlock(flipped(bytes, index), verifier.genesis).ok,
    );
    expect(accepted).toHaveLength(3 * 64);
  });
});

describe('random bytes', () => {
  it('never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        expect(verifier.verifyFeedBlock(bytes, verifier.genesis).ok).toBe(false);
      }),
    );
  });
});
