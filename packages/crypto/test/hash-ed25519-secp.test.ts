/** Hashes, Ed25519, batch signatures and address recovery: published vectors, and agreement of portable and native. */

import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { type Batch, type BatchHeader, batchDigest, concatBytes, encodeBody, fromHex, toHex } from '@squad/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as portable from '../src/index.ts';
import * as native from '../src/node/index.ts';

const SIDES = [
  { side: 'portable', ...portable },
  { side: 'native', ...native },
] as const;
const text = (value: string) => new TextEncoder().encode(value);

describe.each(SIDES)('$side', ({ sha256, keccak256, createNodeKey, verifyEd25519 }) => {
  it('hashes as FIPS 180 and Ethereum do', () => {
    expect(toHex(sha256(text('abc')))).toBe('0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(toHex(keccak256(new Uint8Array()))).toBe(
      '0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470',
    );
    expect(toHex(keccak256(text('abc')))).toBe('0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45');
  });

  it('answers with memory of its own: a later hash does not change an earlier one', () => {
    for (const hash of [sha256, keccak256]) {
      const first = hash(text('first'));
      const copy = first.slice();
      hash(text('second'));
      expect(first).toEqual(copy);
      expect(first.constructor).toBe(Uint8Array);
    }
  });

  it('signs as RFC 8032, 7.1, tests 1 to 3', () => {
    for (const [seed, publicKey, message, signature] of RFC_8032) {
      const key = createNodeKey(fromHex(seed));
      expect(toHex(key.publicKey)).toBe(publicKey);
      expect(toHex(key.secretKey)).toBe(seed);
      expect(toHex(key.sign(fromHex(message)))).toBe(signature);
      expect(verifyEd25519(fromHex(publicKey), fromHex(message), fromHex(signature))).toBe(true);
      expect(verifyEd25519(fromHex(publicKey), concatBytes(fromHex(message), text('x')), fromHex(signature))).toBe(
        false,
      );
    }
  });

  it('refuses what has the wrong length, without throwing', () => {
    const key = createNodeKey(new Uint8Array(32).fill(1));
    const signature = key.sign(text('m'));
    expect(verifyEd25519(key.publicKey.slice(1), text('m'), signature)).toBe(false);
    expect(verifyEd25519(key.publicKey, text('m'), signature.slice(1))).toBe(false);
    expect(verifyEd25519(key.publicKey, text('m'), concatBytes(signature, Uint8Array.of(0)))).toBe(false);
    expect(() => createNodeKey(new Uint8Array(33))).toThrow(expect.objectContaining({ code: 'NODE_KEY_SEED_INVALID' }));
  });
});

const RFC_8032 = [
  [
    '0x9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    '0xd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '0x',
    '0xe5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '0x4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '0x3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '0x72',
    '0x92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
  [
    '0xc5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    '0xfc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    '0xaf82',
    '0x6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  ],
] as const;

describe('portable and native', () => {
  it('hash alike', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => {
        expect(native.sha256(bytes)).toEqual(portable.sha256(bytes));
        expect(native.keccak256(bytes)).toEqual(portable.keccak256(bytes));
      }),
      { numRuns: 50 },
    );
  });

  it('sign alike and judge alike, damaged signatures too', () => {
    const cases = fc.record({
      seed: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      message: fc.uint8Array({ maxLength: 100 }),
      place: fc.integer({ min: 0, max: 127 }),
      bit: fc.integer({ min: 0, max: 7 }),
    });
    fc.assert(
      fc.property(cases, ({ seed, message, place, bit }) => {
        const [key, twin] = [portable.createNodeKey(seed), native.createNodeKey(seed)];
        const signature = key.sign(message);
        expect([key.publicKey, signature]).toEqual([twin.publicKey, twin.sign(message)]);
        // One bit of the key, the signature or, beyond them, none.
        const input = concatBytes(key.publicKey, signature);
        if (place < input.length) input[place]! ^= 1 << bit;
        const verdicts = [portable, native].map((side) =>
          side.verifyEd25519(input.subarray(0, 32), message, input.subarray(32)),
        );
        expect(verdicts).toEqual(place < input.length ? [false, false] : [true, true]);
      }),
      { numRuns: 40 },
    );
  });

  it('judge alike where verification rules differ: keys outside the subgroup, of small order', () => {
    const { Point } = ed25519;
    const torsion = Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a');
    const secret = 123456789n;
    const key = Point.BASE.multiply(secret).add(torsion).toBytes();
    const verdicts = [];
    for (let i = 1n; i <= 24n; i++) {
      const nonce = 1000n + i;
      const r = Point.BASE.multiply(nonce).toBytes();
      const k = Point.Fn.create(littleEndian(sha512(concatBytes(r, key, text('m')))));
      const signature = concatBytes(r, Point.Fn.toBytes(Point.Fn.create(nonce + k * secret)));
      // All of these satisfy ZIP 215's equation, one in eight the other one.
      expect(ed25519.verify(signature, text('m'), key)).toBe(true);
      expect(portable.verifyEd25519(key, text('m'), signature)).toBe(native.verifyEd25519(key, text('m'), signature));
      verdicts.push(native.verifyEd25519(key, text('m'), signature));
    }
    expect(new Set(verdicts)).toEqual(new Set([true, false]));

    const identity = new Uint8Array(32).with(0, 1);
    const odd = [
      identity,
      new Uint8Array(32),
      identity.with(31, 0x80),
      fromHex(`0xee${'ff'.repeat(30)}7f`),
      fromHex(`0xed${'ff'.repeat(30)}7f`),
      fromHex(`0x${'ff'.repeat(32)}`),
      torsion.toBytes(),
    ];
    for (const publicKey of odd) {
      for (const r of odd) {
        const signature = concatBytes(r, new Uint8Array(32));
        for (const side of [portable, native]) expect(side.verifyEd25519(publicKey, text('m'), signature)).toBe(false);
      }
    }
    // S + L is the same number as S, and must be refused.
    const good = native.createNodeKey(new Uint8Array(32).fill(5));
    const signature = good.sign(text('m'));
    const s = littleEndian(signature.subarray(32)) + Point.Fn.ORDER;
    const malleable = concatBytes(
      signature.subarray(0, 32),
      Uint8Array.from({ length: 32 }, (_, i) => Number((s >> BigInt(8 * i)) & 0xffn)),
    );
    for (const side of [portable, native]) expect(side.verifyEd25519(good.publicKey, text('m'), malleable)).toBe(false);
  });
});

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

describe('verifyBatch', () => {
  const networkId = new Uint8Array(32).fill(9);
  const key = native.createNodeKey(new Uint8Array(32).fill(1));
  const body = encodeBody([text('one'), text('two')]);
  const header: BatchHeader = {
    networkId,
    epoch: 0,
    author: 1,
    seq: 0,
    previousDigest: new Uint8Array(32),
    rollupId: 10,
    bodyRoot: portable.bodyRoot(body, native.sha256),
    byteLength: body.length,
    transactionCount: 2,
    createdAtMs: 1,
    joinsNext: true,
  };
  const batch: Batch = { signed: portable.signBatchHeader(header, key), body };
  const verifiers = [native.verifyBatch, portable.createBatchVerifier(portable)];

  it('accepts the author’s batch and answers with its digest', () => {
    for (const verify of verifiers) {
      expect(verify(batch, key.publicKey, networkId)).toEqual({ ok: true, value: { digest: batchDigest(header) } });
    }
    expect(portable.verifyBatchHeader(batch.signed, key.publicKey, native.verifyEd25519)).toBe(true);
  });

  it.each([
    ['another network', batch, key.publicKey, new Uint8Array(32), 'BATCH_NETWORK'],
    ['another author', batch, native.createNodeKey(new Uint8Array(32)).publicKey, networkId, 'BATCH_SIGNATURE'],
    ['a longer body', { ...batch, body: concatBytes(body, text('x')) }, key.publicKey, networkId, 'BATCH_BYTE_LENGTH'],
    [
      'another body',
      { ...batch, body: encodeBody([text('one'), text('six')]) },
      key.publicKey,
      networkId,
      'BATCH_BODY_ROOT',
    ],
    [
      'a changed header',
      { signed: { ...batch.signed, header: { ...header, seq: 1 } }, body },
      key.publicKey,
      networkId,
      'BATCH_SIGNATURE',
    ],
  ] as const)('refuses %s', (_, changed, author, network, code) => {
    for (const verify of verifiers)
      expect(verify(changed, author, network)).toMatchObject({ ok: false, error: { code } });
  });
});

describe('recoverAddress', () => {
  // EIP-155's example transaction.
  const hash = fromHex('0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53');
  const r = fromHex('0x28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276');
  const s = fromHex('0x67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83');
  const address = '0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f';
  const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const scalar = (value: bigint) => fromHex(`0x${value.toString(16).padStart(64, '0')}`);

  it('recovers the sender', () => {
    expect(toHex(native.recoverAddress(hash, r, s, 0)!)).toBe(address);
    expect(toHex(native.recoverAddress(hash, r, s, 1)!)).not.toBe(address);
  });

  it('refuses the high form of s unless it is allowed', () => {
    const high = scalar(ORDER - BigInt(toHex(s)));
    expect(native.recoverAddress(hash, r, high, 1)).toBeUndefined();
    expect(toHex(native.recoverAddress(hash, r, high, 1, { allowHighS: true })!)).toBe(address);
    const half = ORDER / 2n;
    expect(native.recoverAddress(hash, r, scalar(half), 0)).toBeDefined();
    expect(native.recoverAddress(hash, r, scalar(half + 1n), 0)).toBeUndefined();
  });

  it('takes scalars without their leading zeros', () => {
    const small = Uint8Array.of(7);
    expect(native.recoverAddress(hash, r, small, 0)).toEqual(native.recoverAddress(hash, r, scalar(7n), 0));
    expect(native.recoverAddress(hash, r, small, 0)).toBeDefined();
  });

  it.each([
    ['a short hash', hash.slice(1), r, s, 0],
    ['r = 0', hash, new Uint8Array(32), s, 0],
    ['s = 0', hash, r, new Uint8Array(), 0],
    ['r of the group order', hash, scalar(ORDER), s, 0],
    ['r of 33 bytes', hash, concatBytes(Uint8Array.of(0), r), s, 0],
    ['parity 2', hash, r, s, 2],
    ['parity 27', hash, r, s, 27],
    ['a fraction as parity', hash, r, s, 0.5],
  ])('answers undefined for %s', (_, messageHash, someR, someS, parity) => {
    expect(native.recoverAddress(messageHash, someR, someS, parity)).toBeUndefined();
  });
});
