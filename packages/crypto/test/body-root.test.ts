/** Body roots against a naive tree, and range proofs: complete, and sound against every change. */

import { BODY_CHUNK_BYTES, concatBytes, MAX_BATCH_BODY_BYTES, toHex } from '@squad/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bodyRangeProof, bodyRoot, sha256 as portable, verifyBodyRange } from '../src/index.ts';
import { sha256 } from '../src/node/index.ts';

function naiveRoot(body: Uint8Array): Uint8Array {
  let row: Uint8Array[] = [];
  for (let i = 0; i === 0 || i < body.length; i += BODY_CHUNK_BYTES)
    row.push(sha256(body.slice(i, i + BODY_CHUNK_BYTES)));
  while (!Number.isInteger(Math.log2(row.length))) row.push(new Uint8Array(32));
  while (row.length > 1) {
    row = row.filter((_, i) => i % 2 === 0).map((left, i) => sha256(concatBytes(left, row[2 * i + 1]!)));
  }
  return row[0]!;
}

function bodyOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
}

const CHUNK = BODY_CHUNK_BYTES;
const LENGTHS = [
  0,
  1,
  CHUNK - 1,
  CHUNK,
  CHUNK + 1,
  3 * CHUNK,
  4 * CHUNK,
  5 * CHUNK + 17,
  9 * CHUNK,
  MAX_BATCH_BODY_BYTES,
];

describe('bodyRoot', () => {
  it.each(LENGTHS)('is the Merkle root of the chunks of %i bytes, on both hashes', (length) => {
    const body = bodyOf(length);
    expect(toHex(bodyRoot(body, sha256))).toBe(toHex(naiveRoot(body)));
    expect(toHex(bodyRoot(body, portable))).toBe(toHex(naiveRoot(body)));
  });

  it('stays what it is: golden roots', () => {
    expect(toHex(bodyRoot(bodyOf(5), sha256))).toBe(toHex(sha256(bodyOf(5))));
    expect(toHex(bodyRoot(bodyOf(5 * CHUNK + 17), sha256))).toMatchInlineSnapshot(
      `"0x3f64bb3360ee813014bd417f94a858cbbf151567a911bb0e43e3f45e2efef1ac"`,
    );
  });
});

describe('range proofs', () => {
  const ranges = fc
    .integer({ min: 1, max: 12 * CHUNK })
    .chain((size) => fc.tuple(fc.constant(size), fc.integer({ min: 0, max: size - 1 })))
    .chain(([size, offset]) =>
      fc.tuple(fc.constant(size), fc.constant(offset), fc.integer({ min: 1, max: size - offset })),
    );

  it('prove any range of any body', () => {
    fc.assert(
      fc.property(ranges, ([size, offset, length]) => {
        const body = bodyOf(size);
        const proof = bodyRangeProof(body, offset, length, sha256);
        const proven = verifyBodyRange(bodyRoot(body, sha256), size, offset, length, proof, portable);
        expect(proven && toHex(proven)).toBe(toHex(body.slice(offset, offset + length)));
      }),
      { numRuns: 60 },
    );
  });

  it('fail for any other bytes, place, root, length or list of siblings', () => {
    fc.assert(
      fc.property(ranges, fc.nat(), ([size, offset, length], noise) => {
        const body = bodyOf(size);
        const root = bodyRoot(body, sha256);
        const { chunks, siblings } = bodyRangeProof(body, offset, length, sha256);
        const verify = (
          proof: { chunks?: Uint8Array; siblings?: Uint8Array[] },
          at = offset,
          ofRoot = root,
          ofSize = size,
        ) => verifyBodyRange(ofRoot, ofSize, at, length, { chunks, siblings, ...proof }, sha256);
        const flip = (bytes: Uint8Array) => bytes.with(noise % bytes.length, bytes[noise % bytes.length]! ^ 1);
        expect(verify({ chunks: flip(chunks) })).toBeUndefined();
        expect(verify({ chunks: chunks.slice(1) })).toBeUndefined();
        expect(verify({ siblings: [...siblings, new Uint8Array(32)] })).toBeUndefined();
        expect(verify({}, offset, flip(root))).toBeUndefined();
        expect(verify({}, size)).toBeUndefined();
        if (siblings.length > 0) {
          const at = noise % siblings.length;
          expect(verify({ siblings: siblings.with(at, flip(siblings[at]!)) })).toBeUndefined();
          expect(verify({ siblings: siblings.toSpliced(at, 1) })).toBeUndefined();
          expect(verify({ siblings: siblings.with(at, siblings[at]!.slice(1)) })).toBeUndefined();
        }
      }),
      { numRuns: 60 },
    );
  });

  it('cannot pass a chunk of one place off as that of another', () => {
    const body = bodyOf(4 * CHUNK);
    const proof = bodyRangeProof(body, CHUNK, CHUNK, sha256);
    expect(verifyBodyRange(bodyRoot(body, sha256), 4 * CHUNK, CHUNK, CHUNK, proof, sha256)).toBeDefined();
    for (const chunk of [0, 2, 3]) {
      expect(verifyBodyRange(bodyRoot(body, sha256), 4 * CHUNK, chunk * CHUNK, CHUNK, proof, sha256)).toBeUndefined();
    }
  });

  it('refuse ranges that are no ranges', () => {
    const body = bodyOf(10);
    for (const [offset, length] of [
      [0, 0],
      [-1, 2],
      [5, 6],
      [0.5, 1],
      [0, Number.NaN],
    ] as const) {
      expect(() => bodyRangeProof(body, offset, length, sha256)).toThrow(RangeError);
      const proof = { chunks: body, siblings: [] };
      expect(verifyBodyRange(bodyRoot(body, sha256), 10, offset, length, proof, sha256)).toBeUndefined();
    }
  });
});
