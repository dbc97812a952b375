/** Both implementations against the published vectors: Ethereum's BLS suite, EIP-2333 and RFC 9380. */

import { bls12_381 } from '@noble/curves/bls12-381.js';
import { fromHex, toHex } from '@squad/types';
import { describe, expect, it } from 'vitest';
import { type Bls, nobleBls } from '../src/index.ts';
import { blstBls } from '../src/node/index.ts';
import later from './vectors/bls12-381-tests.json' with { type: 'json' };
import eth from './vectors/consensus-spec-bls.json' with { type: 'json' };
import rfc9380 from './vectors/rfc9380-g2.json' with { type: 'json' };

const IMPLEMENTATIONS: readonly Bls[] = [nobleBls, blstBls];

/** EIP-2333, test cases 0 to 3: seed and master secret key. */
const MASTER_KEYS: readonly (readonly [string, bigint])[] = [
  [
    '0xc55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04',
    6083874454709270928345386274498605044986640685124978867557563392430687146096n,
  ],
  [
    '0x3141592653589793238462643383279502884197169399375105820974944592',
    29757020647961307431480504535336562678282505419141012933316116377660817309383n,
  ],
  [
    '0x0099FF991111002299DD7744EE3355BBDD8844115566CC55663355668888CC00',
    27580842291869792442942448775674722299803720648445448686099262467207037398656n,
  ],
  [
    '0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3',
    19022158461524446591288038168518313374041767046816487870552872741050760015818n,
  ],
];

describe.each(IMPLEMENTATIONS)('$name and the published BLS vectors', (bls) => {
  it('derives the master keys of EIP-2333', () => {
    for (const [seed, key] of MASTER_KEYS) expect(BigInt(toHex(bls.secretKeyFromSeed(fromHex(seed))))).toBe(key);
  });

  it.each(eth.sign)('sign: $name', ({ input, output }) => {
    expect(toHex(bls.sign(fromHex(input.privkey), fromHex(input.message)))).toBe(output);
  });

  it.each([...eth.verify, ...later.verify])('verify: $name', ({ input, output }) => {
    expect(bls.verify(fromHex(input.pubkey), fromHex(input.message), fromHex(input.signature))).toBe(output);
  });

  it.each(eth.aggregate)('aggregate: $name', ({ input, output }) => {
    const sum = bls.aggregateSignatures(input.map((signature) => fromHex(signature)));
    expect(sum === undefined ? null : toHex(sum)).toBe(output);
  });

  it.each([...eth.fast_aggregate_verify, ...later.fast_aggregate_verify])('fast: $name', ({ input, output }) => {
    const keys = input.pubkeys.map((key: string) => fromHex(key));
    expect(bls.fastAggregateVerify(keys, fromHex(input.message), fromHex(input.signature))).toBe(output);
  });

  it.each(eth.aggregate_verify)('aggregate verify: $name', ({ input, output }) => {
    const keys = input.pubkeys.map((key: string) => fromHex(key));
    const messages = input.messages.map((message: string) => fromHex(message));
    expect(bls.aggregateVerify(keys, messages, fromHex(input.signature))).toBe(output);
  });

  it.each(later.deserialization_G1)('public key: $name', ({ name, input, output }) => {
    // The vector is about decoding. A point at infinity decodes, and KeyValidate then refuses it as a key.
    const isInfinity = name === 'deserialization_succeeds_infinity_with_true_b_flag';
    expect(bls.isValidPublicKey(fromHex(input))).toBe(output && !isInfinity);
  });

  it.each(later.deserialization_G2)('signature: $name', ({ name, input, output }) => {
    // Summing does not check the subgroup, as the port says; verifying does (next test).
    const isOnCurve = output || name === 'deserialization_fails_not_in_G2';
    const sum = bls.aggregateSignatures([fromHex(input)]);
    expect(sum === undefined ? undefined : toHex(sum)).toBe(isOnCurve ? input : undefined);
  });

  it('refuses a signature outside the subgroup, alone and inside a sum', () => {
    const outside = fromHex(later.deserialization_G2.find(({ name }) => name.endsWith('not_in_G2'))!.input);
    const secretKey = bls.secretKeyFromSeed(new Uint8Array(32).fill(1));
    const message = new Uint8Array(32).fill(2);
    const good = bls.sign(secretKey, message);
    const sum = bls.aggregateSignatures([good, outside])!;
    expect(sum).toBeDefined();
    for (const signature of [outside, sum]) {
      expect(bls.verify(bls.publicKeyOf(secretKey), message, signature)).toBe(false);
      expect(bls.fastAggregateVerify([bls.publicKeyOf(secretKey)], message, signature)).toBe(false);
    }
  });
});

describe('RFC 9380', () => {
  // blst's binding exposes no bare hashing; its signatures, byte for byte noble's, show that it hashes alike.
  it.each(rfc9380.vectors)('noble hashes to G2: %#', ({ message, expected }) => {
    const point = bls12_381.longSignatures.hash(new TextEncoder().encode(message), rfc9380.dst);
    expect(toHex(point.toBytes(false))).toBe(expected);
  });
});
