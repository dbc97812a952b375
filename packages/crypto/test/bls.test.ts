/** What the vectors leave open: both implementations agree on random input, bad input never throws, possession, votes. */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bls12_381 } from '@noble/curves/bls12-381.js';
import type { Genesis, ValidatorSet } from '@squad/types';
import { concatBytes, fromHex, parseGenesis, toHex } from '@squad/types';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeG2, encodeG2 } from '../src/g2-codec.ts';
import { type Bls, checkPossession, createVoteScheme, nobleBls } from '../src/index.ts';
import { blstBls, checkPossessionOnce, recordPossession } from '../src/node/index.ts';
import later from './vectors/bls12-381-tests.json' with { type: 'json' };

const IMPLEMENTATIONS: readonly Bls[] = [nobleBls, blstBls];
const secretKeys = [1, 2, 3, 4].map((i) => blstBls.secretKeyFromSeed(new Uint8Array(32).fill(i)));
const publicKeys = secretKeys.map((key) => blstBls.publicKeyOf(key));
const message = new Uint8Array(32).fill(7);

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

describe('noble and blst', () => {
  it('agree on keys, signatures, sums and verdicts', () => {
    const cases = fc.record({
      seeds: fc.array(fc.uint8Array({ minLength: 32, maxLength: 80 }), { minLength: 1, maxLength: 3 }),
      message: fc.uint8Array({ maxLength: 100 }),
    });
    fc.assert(
      fc.property(cases, ({ seeds, message }) => {
        const results = IMPLEMENTATIONS.map((bls) => {
          const keys = seeds.map((seed) => bls.secretKeyFromSeed(seed));
          const signatures = keys.map((key) => bls.sign(key, message));
          const sum = bls.aggregateSignatures(signatures)!;
          return [...keys, ...keys.map((key) => bls.publicKeyOf(key)), ...signatures, sum].map(toHex);
        });
        expect(results[0]).toEqual(results[1]);
        const keys = seeds.map((seed) => blstBls.publicKeyOf(blstBls.secretKeyFromSeed(seed)));
        const sum = blstBls.aggregateSignatures(
          seeds.map((seed) => blstBls.sign(blstBls.secretKeyFromSeed(seed), message)),
        )!;
        for (const bls of IMPLEMENTATIONS) {
          expect(bls.fastAggregateVerify(keys, message, sum)).toBe(true);
          expect(bls.fastAggregateVerify(keys, concatBytes(message, Uint8Array.of(0)), sum)).toBe(false);
        }
      }),
      { numRuns: 6 },
    );
  });

  it('agree on bytes that are hardly ever a point, and do not throw', () => {
    const flags = fc.constantFrom(0x80, 0xa0, 0xc0, 0xe0, 0x00, 0x40);
    const hostile = (length: number) =>
      fc.tuple(flags, bytes(length)).map(([flag, noise]) => {
        noise[0] = flag | (noise[0]! & 0x1f);
        return noise;
      });
    const cases = fc.record({ key: hostile(48), signature: fc.oneof(hostile(96), fc.uint8Array({ maxLength: 200 })) });
    fc.assert(
      fc.property(cases, ({ key, signature }) => {
        const verdicts = IMPLEMENTATIONS.map((bls) => {
          const sum = bls.aggregateSignatures([signature, signature]);
          return [
            bls.isValidPublicKey(key),
            sum && toHex(sum),
            bls.verify(key, message, signature),
            bls.verify(publicKeys[0]!, message, signature),
            bls.fastAggregateVerify([publicKeys[0]!, key], message, signature),
            bls.aggregateVerify([key], [message], signature),
            bls.verifyPossession(key, signature),
          ];
        });
        expect(verdicts[0]).toEqual(verdicts[1]);
      }),
      { numRuns: 40 },
    );
  });
});

describe.each(IMPLEMENTATIONS)('$name', (bls) => {
  it('verifies different messages under one sum, and refuses them swapped or cut short', () => {
    const messages = secretKeys.map((_, i) => new Uint8Array(32).fill(i));
    const sum = bls.aggregateSignatures(secretKeys.map((key, i) => bls.sign(key, messages[i]!)))!;
    expect(bls.aggregateVerify(publicKeys, messages, sum)).toBe(true);
    expect(bls.aggregateVerify(publicKeys, messages.toReversed(), sum)).toBe(false);
    expect(bls.aggregateVerify(publicKeys, messages.slice(1), sum)).toBe(false);
  });

  it('refuses keys that cancel each other, with the signature that would fit', () => {
    const negated = publicKeys[0]!.slice();
    negated[0]! ^= 0x20;
    const infinity = new Uint8Array(96);
    infinity[0] = 0xc0;
    expect(bls.isValidPublicKey(negated)).toBe(true);
    expect(bls.verify(negated, message, bls.sign(secretKeys[0]!, message))).toBe(false);
    expect(bls.fastAggregateVerify([publicKeys[0]!, negated], message, infinity)).toBe(false);
  });

  it('refuses a good signature with a point of the cofactor’s order added to it', () => {
    const outside = decodeG2(fromHex(later.deserialization_G2.find(({ name }) => name.endsWith('not_in_G2'))!.input))!;
    // r times a point keeps its component outside the subgroup only.
    const torsion = outside.multiplyUnsafe(bls12_381.fields.Fr.ORDER - 1n).add(outside);
    const good = bls.sign(secretKeys[0]!, message);
    const sum = bls.aggregateSignatures([good, encodeG2(torsion)])!;
    expect(toHex(sum)).not.toBe(toHex(good));
    expect(bls.verify(publicKeys[0]!, message, sum)).toBe(false);
    expect(bls.fastAggregateVerify([publicKeys[0]!], message, sum)).toBe(false);
    expect(bls.aggregateVerify([publicKeys[0]!], [message], sum)).toBe(false);
  });

  it('knows one encoding of infinity', () => {
    const infinity = new Uint8Array(96).with(0, 0xc0);
    expect(bls.aggregateSignatures([infinity])).toEqual(infinity);
    for (const other of [
      infinity.with(0, 0xc1),
      infinity.with(0, 0xe0),
      infinity.with(0, 0x40),
      infinity.with(95, 1),
    ]) {
      expect(bls.aggregateSignatures([other])).toBeUndefined();
    }
  });

  it('keys its cache by content: a changed array is another key', () => {
    // A key that no other test has put into the cache.
    const secretKey = bls.secretKeyFromSeed(new Uint8Array(32).fill(99));
    const key = bls.publicKeyOf(secretKey);
    const signature = bls.sign(secretKey, message);
    expect(bls.verify(key, message, signature)).toBe(true);
    key[0]! ^= 0x20;
    expect(bls.verify(key, message, signature)).toBe(false);
    key.set(publicKeys[1]!);
    expect(bls.verify(key, message, signature)).toBe(false);
  });

  it('proves possession of one key only, and never by a plain signature', () => {
    const proof = bls.provePossession(secretKeys[0]!);
    expect(bls.verifyPossession(publicKeys[0]!, proof)).toBe(true);
    expect(bls.verifyPossession(publicKeys[1]!, proof)).toBe(false);
    expect(bls.verifyPossession(publicKeys[0]!, bls.sign(secretKeys[0]!, publicKeys[0]!))).toBe(false);
    expect(toHex(proof)).toBe(toHex(nobleBls.provePossession(secretKeys[0]!)));
  });

  it('names a bad secret key or seed without printing it', () => {
    const zero = new Uint8Array(32);
    expect(() => bls.sign(zero, message)).toThrow(expect.objectContaining({ code: 'BLS_SECRET_KEY_INVALID' }));
    expect(() => bls.publicKeyOf(new Uint8Array(31))).toThrow(/31 bytes/);
    expect(() => bls.secretKeyFromSeed(new Uint8Array(31))).toThrow(
      expect.objectContaining({ code: 'BLS_SEED_TOO_SHORT' }),
    );
  });
});

describe('createVoteScheme', () => {
  const set: ValidatorSet = {
    epoch: 0,
    validators: publicKeys.map((blsPublicKey) => ({ blsPublicKey, nodePublicKey: new Uint8Array(32), weight: 1 })),
  };
  const schemes = secretKeys.map((key) => createVoteScheme(blstBls, set, key));
  const signature = schemes[0]!.aggregate([0, 2, 3].map((i) => schemes[i]!.sign(message)))!;

  it('verifies a sum by exactly its signers, on both implementations', () => {
    for (const bls of IMPLEMENTATIONS) {
      const observer = createVoteScheme(bls, set);
      expect(observer.verify([0, 2, 3], message, signature)).toBe(true);
      expect(observer.verify([0, 2], message, signature)).toBe(false);
      expect(observer.verify([0, 1, 2, 3], message, signature)).toBe(false);
    }
  });

  it.each([
    ['no signer', []],
    ['an unknown signer', [0, 2, 3, 4]],
    ['a negative signer', [-1, 0, 2, 3]],
    ['a signer twice', [0, 2, 3, 3]],
  ])('refuses %s', (_, signers) => {
    expect(schemes[0]!.verify(signers, message, signature)).toBe(false);
  });

  it('refuses a signer named twice even when the sum holds their signature twice', () => {
    const twice = schemes[0]!.aggregate([schemes[0]!.sign(message), schemes[0]!.sign(message)])!;
    expect(schemes[0]!.verify([0, 0], message, twice)).toBe(false);
  });

  it('cannot sign without a key', () => {
    expect(() => createVoteScheme(blstBls, set).sign(message)).toThrow(
      expect.objectContaining({ code: 'NO_SIGNING_KEY' }),
    );
  });
});

describe('checkPossession', () => {
  function genesis(proofs: readonly Uint8Array[]): Genesis {
    const parsed = parseGenesis({
      version: 1,
      name: 'possession',
      genesisTimeMs: 0,
      epochLengthBlocks: 16,
      validators: proofs.map((proof, i) => ({
        name: `validator-${i}`,
        blsPublicKey: toHex(publicKeys[i]!),
        proofOfPossession: toHex(proof),
        nodePublicKey: toHex(new Uint8Array(32).fill(i)),
        weight: 1,
        addresses: [],
      })),
      rollups: [{ rollupId: 1, kind: 'opaque' }],
    });
    if (!parsed.ok) throw parsed.error;
    return parsed.value;
  }
  const proofs = secretKeys.slice(0, 2).map((key) => nobleBls.provePossession(key));

  it('accepts good proofs and names the validator of a bad one', () => {
    expect(checkPossession(genesis(proofs), blstBls)).toEqual({ ok: true, value: undefined });
    const swapped = checkPossession(genesis([proofs[0]!, proofs[0]!]), blstBls);
    expect(swapped).toMatchObject({ ok: false, error: { code: 'GENESIS_POSSESSION_INVALID' } });
    expect(swapped.ok || swapped.error.message).toContain('validators.1.proofOfPossession');
    expect(swapped.ok || swapped.error.message).toContain('validator-1');
  });

  describe('once for a data folder', () => {
    let folder: string;
    let checks: number;
    const counting: Bls = {
      ...blstBls,
      verifyPossession: (publicKey, proof) => {
        checks++;
        return blstBls.verifyPossession(publicKey, proof);
      },
    };
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'squad-possession-'));
      checks = 0;
    });
    afterEach(() => rmSync(folder, { recursive: true }));
    const check = async (of: Genesis, directory = folder) => (await checkPossessionOnce(of, counting, directory)).ok;

    it('is not repeated for the same keys, and is for others', async () => {
      expect([await check(genesis(proofs)), checks]).toEqual([true, 2]);
      expect([await check(genesis(proofs)), checks]).toEqual([true, 2]);
      expect([await check(genesis(proofs.slice(0, 1))), checks]).toEqual([true, 3]);
      await recordPossession(genesis(proofs), folder);
      expect([await check(genesis(proofs)), checks]).toEqual([true, 3]);
    });

    it('is not recorded when a proof is bad', async () => {
      const swapped = genesis([proofs[0]!, proofs[0]!]);
      expect([await check(swapped), await check(swapped)]).toEqual([false, false]);
    });

    it('believes no other content, and needs no folder', async () => {
      await check(genesis(proofs));
      const [record] = readdirSync(folder);
      for (const text of ['', '0x', toHex(new Uint8Array(32)), 'ok']) {
        writeFileSync(join(folder, record!), text);
        checks = 0;
        expect([text, await check(genesis(proofs)), checks]).toEqual([text, true, 2]);
      }
      expect(await check(genesis(proofs), join(folder, 'none'))).toBe(true);
      expect(readdirSync(folder)).toEqual([record]);
    });
  });
});
