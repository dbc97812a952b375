/**
 * Every decoder of outside bytes is strict: hostile bytes never throw, and whatever is accepted encodes back to the very
 * same bytes. A second encoding of one object would let two nodes hash, sign or count it as two.
 */

import type { Type } from '@chainsafe/ssz';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BatchesRequest,
  BatchesResponse,
  BlockRequest,
  BlockResponse,
  bodyTransactions,
  Certificate,
  decode,
  decodeBatch,
  decodeCertificate,
  decodeEvidence,
  decodeFeedBlock,
  decodeFeedMessage,
  decodeHandOverProof,
  decodeProposal,
  decodeRangeResponse,
  decodeValidatorMessage,
  decodeVote,
  encodeBatch,
  encodeBody,
  encodeEvidence,
  encodeFeedMessage,
  encodeValidatorMessage,
  FeedAcknowledgement,
  FeedBlock,
  FeedSubscribe,
  GossipTransactions,
  HandOverProof,
  MAX_BATCH_BODY_BYTES,
  MAX_BATCH_TRANSACTIONS,
  MAX_TRANSACTION_BYTES,
  Proposal,
  RangeRequest,
  RangeResponse,
  type Result,
  Vote,
  VoteKind,
} from '../src/index.ts';
import * as samples from './samples.ts';

interface Codec {
  readonly name: string;
  readonly decode: (bytes: Uint8Array) => Result<unknown>;
  readonly encode: (value: never) => Uint8Array;
  readonly encodings: readonly Uint8Array[];
}

function codec<T>(
  name: string,
  encode: (value: T) => Uint8Array,
  decodeBytes: (bytes: Uint8Array) => Result<T>,
  values: readonly T[],
): Codec {
  return { name, decode: decodeBytes, encode, encodings: values.map(encode) };
}

function ssz<T>(name: string, type: Type<T>, values: readonly T[]): Codec {
  return codec(
    name,
    (value: T) => type.serialize(value),
    (bytes) => decode(type, name, bytes),
    values,
  );
}

const { block, batch, pattern, proposal, skips, certificate, vote } = samples;
const finalization = certificate(VoteKind.finalize, 45, pattern(32, 1));
const bareProposal = { ...proposal, block: { ...block(), refs: [] }, skips: [] };

const CODECS: readonly Codec[] = [
  codec('Batch', encodeBatch, decodeBatch, [batch]),
  codec('Vote', (value) => Vote.serialize(value), decodeVote, [vote(1), vote(2), vote(3)]),
  codec('Certificate', (value) => Certificate.serialize(value), decodeCertificate, [finalization, skips[0]!]),
  codec('Proposal', (value) => Proposal.serialize(value), decodeProposal, [proposal, bareProposal]),
  codec('Evidence', encodeEvidence, decodeEvidence, Object.values(samples.evidence)),
  codec(
    'HandOverProof',
    (value) => HandOverProof.serialize(value),
    decodeHandOverProof,
    Object.values(samples.handOvers),
  ),
  codec('ValidatorMessage', encodeValidatorMessage, decodeValidatorMessage, samples.validatorMessages),
  ssz('BatchesRequest', BatchesRequest, [[], [pattern(32, 0), pattern(32, 1)]]),
  ssz('BatchesResponse', BatchesResponse, [[], [encodeBatch(batch), new Uint8Array(), pattern(3, 0)]]),
  ssz('BlockRequest', BlockRequest, [{ hash: pattern(32, 0) }]),
  ssz('BlockResponse', BlockResponse, [[], [block()]]),
  ssz('RangeRequest', RangeRequest, [{ fromHeight: 7 }]),
  codec('RangeResponse', (value) => RangeResponse.serialize(value), decodeRangeResponse, [
    { blocks: [], certificates: [] },
    { blocks: [block(), { ...block(), refs: [] }], certificates: [finalization] },
  ]),
  ssz('FeedSubscribe', FeedSubscribe, [{ rollupId: 901, fromHeight: Number.MAX_SAFE_INTEGER }]),
  ssz('FeedAcknowledgement', FeedAcknowledgement, [{ height: 12 }]),
  codec('FeedBlock', (value) => FeedBlock.serialize(value), decodeFeedBlock, Object.values(samples.feedBlocks)),
  codec('FeedMessage', encodeFeedMessage, decodeFeedMessage, [
    { type: 'subscribe', rollupId: 901, fromHeight: 1 },
    { type: 'acknowledge', height: 1 },
    { type: 'block', block: samples.feedBlocks.soft },
    { type: 'batch', batch: encodeBatch(batch) },
    { type: 'head', height: 3 },
    { type: 'error', code: 'NOT_HELD', message: 'height 3 is not held any more – ask another' },
  ]),
  ssz('GossipTransactions', GossipTransactions, [
    { rollupId: 901, transactions: [pattern(5, 0), pattern(150, 1), pattern(1, 2)] },
    { rollupId: 1, transactions: [] },
  ]),
];

type Mutation = (bytes: Uint8Array, other: Uint8Array) => Uint8Array;

const at = (place: number, length: number) => (length === 0 ? 0 : place % length);

/** Where offsets, lengths and counts may stand, written over with the values that break careless readers. */
const overwrite = fc
  .tuple(
    fc.nat(),
    fc.constantFrom(1, 2, 4, 8),
    fc.oneof(fc.constantFrom(0, 1, 3, 4, 5, 255, 2 ** 31, 2 ** 32 - 1), fc.nat()),
  )
  .map(
    ([place, width, value]): Mutation =>
      (bytes) => {
        const out = bytes.slice();
        for (let i = 0; i < width && at(place, out.length) + i < out.length; i++) {
          out[at(place, out.length) + i] = Math.floor(value / 256 ** i) & 0xff;
        }
        return out;
      },
  );
/** A little-endian number moved by a little: an offset one off, a length one short. */
const nudge = fc.tuple(fc.nat(), fc.integer({ min: -36, max: 36 })).map(
  ([place, by]): Mutation =>
    (bytes) => {
      const out = bytes.slice();
      if (out.length < 4) return out;
      const view = new DataView(out.buffer);
      const offset = at(place, out.length - 3);
      view.setUint32(offset, view.getUint32(offset, true) + by, true);
      return out;
    },
);
const flip = fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })).map(
  ([place, bits]): Mutation =>
    (bytes) => {
      const out = bytes.slice();
      if (out.length > 0) out[at(place, out.length)]! ^= bits;
      return out;
    },
);
const truncate = fc.nat().map(
  (place): Mutation =>
    (bytes) =>
      bytes.slice(0, at(place, bytes.length)),
);
const behead = fc.integer({ min: 1, max: 8 }).map(
  (count): Mutation =>
    (bytes) =>
      bytes.slice(count),
);
const extend = fc.uint8Array({ minLength: 1, maxLength: 40 }).map(
  (tail): Mutation =>
    (bytes) =>
      join(bytes, tail),
);
const insert = fc.tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 8 })).map(
  ([place, extra]): Mutation =>
    (bytes) => {
      const cut = at(place, bytes.length + 1);
      return join(bytes.slice(0, cut), extra, bytes.slice(cut));
    },
);
const splice = fc.tuple(fc.nat(), fc.nat()).map(
  ([one, two]): Mutation =>
    (bytes, other) =>
      join(bytes.slice(0, at(one, bytes.length)), other.slice(at(two, other.length))),
);
const replace = fc.uint8Array({ maxLength: 300 }).map(
  (noise): Mutation =>
    () =>
      noise,
);

const mutations = fc.array(fc.oneof(overwrite, nudge, flip, truncate, behead, extend, insert, splice, replace), {
  minLength: 1,
  maxLength: 3,
});

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

describe.each(CODECS)('$name', ({ decode: decodeBytes, encode, encodings }) => {
  const reencoded = (bytes: Uint8Array): Uint8Array | undefined => {
    const result = decodeBytes(bytes);
    if (result.ok) return encode(result.value as never);
    expect(result.error).toMatchObject({
      code: 'DECODE',
      what: expect.any(String),
      reason: expect.stringMatching(/\w/),
    });
    return undefined;
  };

  it('reads what it wrote, from a view into a larger buffer too', () => {
    for (const encoding of encodings) {
      expect(reencoded(encoding)).toEqual(encoding);
      const around = join(pattern(3, 0), encoding, pattern(5, 0));
      expect(reencoded(around.subarray(3, 3 + encoding.length))).toEqual(encoding);
      expect(reencoded(Buffer.from(encoding))).toEqual(encoding);
    }
  });

  it('accepts no malformed bytes that encode to other ones, and never throws', () => {
    let malformed = 0;
    let refused = 0;
    fc.assert(
      fc.property(fc.nat(), fc.nat(), mutations, (first, second, steps) => {
        const original = encodings[at(first, encodings.length)]!;
        const other = encodings[at(second, encodings.length)]!;
        const bytes = steps.reduce((current, step) => step(current, other), original);
        if (encodings.some((encoding) => Buffer.compare(encoding, bytes) === 0)) return;
        malformed++;
        const again = reencoded(bytes);
        if (again === undefined) refused++;
        else expect(again).toEqual(bytes);
      }),
      { numRuns: 400 },
    );
    expect(malformed).toBeGreaterThanOrEqual(64);
    expect(refused).toBeGreaterThanOrEqual(16);
  });

  it('judges every truncation and every single changed byte by the same rule', () => {
    for (const encoding of encodings) {
      for (let i = 0; i < encoding.length; i++) {
        const cut = encoding.slice(0, i);
        const afterCut = reencoded(cut);
        if (afterCut !== undefined) expect(afterCut).toEqual(cut);
        for (const value of [0, 0xff, encoding[i]! ^ 1, encoding[i]! ^ 0x80]) {
          const changed = encoding.with(i, value);
          const afterChange = reencoded(changed);
          if (afterChange !== undefined && Buffer.compare(afterChange, changed) !== 0)
            expect(afterChange).toEqual(changed);
        }
      }
    }
  });
});

describe('limits and meanings', () => {
  const refusal = (result: Result<unknown>): string => (result.ok ? 'accepted' : result.error.reason);
  const put = (bytes: Uint8Array, offset: number, value: bigint): Uint8Array => {
    const out = bytes.slice();
    new DataView(out.buffer).setBigUint64(offset, value, true);
    return out;
  };

  it('takes numbers up to 2^53-1 and none above', () => {
    const encoding = RangeRequest.serialize({ fromHeight: 0 });
    expect(decode(RangeRequest, 'RangeRequest', put(encoding, 0, 2n ** 53n - 1n)).ok).toBe(true);
    for (const value of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      expect(refusal(decode(RangeRequest, 'RangeRequest', put(encoding, 0, value)))).toContain('2^53-1');
    }
  });

  it('refuses votes of no kind and a nullify of a block', () => {
    const encoding = Vote.serialize(vote(VoteKind.notarize));
    expect(refusal(decodeVote(encoding.with(0, 0)))).toContain('kind 0');
    expect(refusal(decodeVote(encoding.with(0, 4)))).toContain('kind 4');
    expect(refusal(decodeVote(encoding.with(0, VoteKind.nullify)))).toContain('nullify');
    const inside = Proposal.serialize({
      ...proposal,
      skips: [{ ...skips[0]!, kind: VoteKind.nullify, blockHash: pattern(32, 1) }],
    });
    expect(refusal(decodeProposal(inside))).toContain('nullify');
  });

  it('refuses a bit list without its end, or longer than a validator set', () => {
    const encoding = Certificate.serialize(finalization);
    expect(refusal(decodeCertificate(encoding.slice(0, -1)))).not.toBe('accepted');
    expect(refusal(decodeCertificate(encoding.with(encoding.length - 1, 0)))).toContain('padding');
    const long = join(encoding.slice(0, -1), new Uint8Array(32), Uint8Array.of(2));
    expect(refusal(decodeCertificate(long))).not.toBe('accepted');
  });

  it('decoded objects do not share memory with the received bytes, but for bodies', () => {
    const received = Buffer.from(Vote.serialize(vote(VoteKind.notarize)));
    const decoded = decodeVote(received);
    received.fill(0xee);
    expect(decoded).toEqual({ ok: true, value: vote(VoteKind.notarize) });
  });

  it('refuses feed blocks of no stage or with a flag that is none', () => {
    const block = samples.feedBlocks.final;
    expect(refusal(decodeFeedBlock(FeedBlock.serialize({ ...block, stage: 3 })))).toContain('stage 3');
    expect(refusal(decodeFeedBlock(FeedBlock.serialize({ ...block, bodiesOmitted: 2 })))).toContain(
      'bodiesOmitted is 2',
    );
  });

  it('refuses a certificate of no kind in an answer', () => {
    const answer = (kind: number) =>
      RangeResponse.serialize({ blocks: [block()], certificates: [{ ...finalization, kind }] });
    expect(decodeRangeResponse(answer(3)).ok).toBe(true);
    expect(refusal(decodeRangeResponse(answer(4)))).toContain('kind 4');
  });

  const batchOf = (body: Uint8Array, transactionCount: number, byteLength = body.length): Uint8Array =>
    encodeBatch({
      signed: { ...batch.signed, header: { ...batch.signed.header, byteLength, transactionCount } },
      body,
    });

  it.each([
    ['another number of transactions', batchOf(batch.body, 2), '3 transactions'],
    ['another length', batchOf(batch.body, 3, batch.body.length - 1), 'header says'],
    ['no transactions', batchOf(new Uint8Array(), 0), 'no transactions'],
    ['an empty transaction', batchOf(encodeBody([pattern(1, 0), new Uint8Array()]), 2), 'transaction 1 has length 0'],
    ['an empty last transaction', batchOf(batch.body.slice(0, -1), 3), 'transaction 2 has length 0'],
    ['a transaction that ends beyond the body', batchOf(batch.body.slice(0, -2), 3), 'transaction 1 ends beyond'],
    [
      'a transaction that ends before it begins',
      batchOf(join(batch.body.slice(0, 4), Uint8Array.of(11, 0, 0, 0), batch.body.slice(8)), 3),
      'transaction 0 has length -1',
    ],
    [
      'a first offset within an offset',
      batchOf(join(Uint8Array.of(13), batch.body.slice(1)), 3),
      'the first offset is 13',
    ],
    ['a first offset beyond the body', batchOf(Uint8Array.of(8, 0, 0, 0), 2), 'the first offset is 8'],
    ['no offsets', batchOf(Uint8Array.of(0, 0, 0, 0), 0), 'the first offset is 0'],
    ['bytes too few for an offset', batchOf(pattern(3, 4), 1), 'no transactions'],
    ['a header cut short', encodeBatch(batch).slice(0, 100), 'shorter'],
  ])('refuses a batch with %s', (_, bytes, reason) => {
    expect(refusal(decodeBatch(bytes))).toContain(reason);
  });

  it('takes a batch at each limit and none beyond', () => {
    const filled = (count: number, size: number) =>
      encodeBody(Array.from({ length: count }, () => new Uint8Array(size).fill(1)));
    const many = (count: number) => decodeBatch(batchOf(filled(count, 1), count));
    expect(many(MAX_BATCH_TRANSACTIONS).ok).toBe(true);
    expect(refusal(many(MAX_BATCH_TRANSACTIONS + 1))).toContain('MAX_BATCH_TRANSACTIONS');
    const large = (size: number) => decodeBatch(batchOf(filled(1, size), 1));
    expect(large(MAX_TRANSACTION_BYTES).ok).toBe(true);
    expect(refusal(large(MAX_TRANSACTION_BYTES + 1))).toContain(`${MAX_TRANSACTION_BYTES + 1}`);
    const quarter = MAX_BATCH_BODY_BYTES / 4 - 4;
    expect(decodeBatch(batchOf(filled(4, quarter), 4)).ok).toBe(true);
    const beyond = join(filled(4, quarter), encodeBody([pattern(1, 0)]));
    expect(refusal(decodeBatch(batchOf(beyond, 5)))).toContain('MAX_BATCH_BODY_BYTES');
    expect(bodyTransactions(batch.body).map((transaction) => transaction.length)).toEqual([3, 150, 1]);
  });
});
