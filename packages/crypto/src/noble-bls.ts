/** `Bls` in JavaScript over @noble/curves: the reference, and what a browser verifies with (about 40 ms a certificate). */

import { bls12_381 } from '@noble/curves/bls12-381.js';
import { expand, extract } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes } from '@squad/types';
import {
  BLS_POSSESSION_DST,
  BLS_PUBLIC_KEY_BYTES,
  BLS_SIGNATURE_BYTES,
  BLS_SIGNATURE_DST,
  type Bls,
  checkSeed,
  invalidSecretKey,
} from './bls.ts';
import { decodeG2, encodeG2 } from './g2-codec.ts';
import { PublicKeyCache } from './point-cache.ts';

const scheme = bls12_381.longSignatures;
const G1 = bls12_381.G1.Point;
const G2 = bls12_381.G2.Point;
const scalars = bls12_381.fields.Fr;
type G1Point = typeof G1.BASE;
type G2Point = typeof G2.BASE;

const publicKeys = new PublicKeyCache<G1Point>((bytes) => {
  if (bytes.length !== BLS_PUBLIC_KEY_BYTES) throw new RangeError(`a public key has ${BLS_PUBLIC_KEY_BYTES} bytes`);
  const point = G1.fromBytes(bytes);
  if (point.is0()) throw new RangeError('a public key may not be the point at infinity');
  return point;
});

export const nobleBls: Bls = {
  name: 'noble',
  secretKeyFromSeed: deriveSecretKey,

  publicKeyOf(secretKey) {
    try {
      return scheme.getPublicKey(secretKey).toBytes(true);
    } catch (error) {
      throw invalidSecretKey(secretKey, error);
    }
  },

  isValidPublicKey: (publicKey) => publicKeys.get(publicKey) !== undefined,

  sign(secretKey, message) {
    return signWith(secretKey, message, BLS_SIGNATURE_DST);
  },

  verify(publicKey, message, signature) {
    return verifyWith(publicKeys.get(publicKey), message, signature, BLS_SIGNATURE_DST);
  },

  aggregateSignatures(signatures) {
    let sum: G2Point | undefined;
    for (const bytes of signatures) {
      const point = decodeG2(bytes);
      if (point === undefined) return undefined;
      sum = sum === undefined ? point : sum.add(point);
    }
    return sum && encodeG2(sum);
  },

  fastAggregateVerify(keys, message, signature) {
    const points = publicKeys.getAll(keys);
    if (points === undefined) return false;
    return verifyWith(sumOf(points), message, signature, BLS_SIGNATURE_DST);
  },

  aggregateVerify(keys, messages, signature) {
    const points = keys.length === messages.length ? publicKeys.getAll(keys) : undefined;
    const sum = decodeSignature(signature);
    if (points === undefined || sum === undefined) return false;
    return scheme.verifyBatch(
      sum,
      points.map((publicKey, i) => ({ publicKey, message: scheme.hash(messages[i]!, BLS_SIGNATURE_DST) })),
    );
  },

  provePossession(secretKey) {
    return signWith(secretKey, this.publicKeyOf(secretKey), BLS_POSSESSION_DST);
  },

  verifyPossession(publicKey, proof) {
    return verifyWith(publicKeys.get(publicKey), publicKey, proof, BLS_POSSESSION_DST);
  },
};

function signWith(secretKey: Uint8Array, message: Uint8Array, dst: string): Uint8Array {
  const point = scheme.hash(message, dst);
  try {
    return scheme.Signature.toBytes(scheme.sign(point, secretKey));
  } catch (error) {
    throw invalidSecretKey(secretKey, error);
  }
}

function verifyWith(publicKey: G1Point | undefined, message: Uint8Array, signature: Uint8Array, dst: string): boolean {
  const point = decodeSignature(signature);
  if (publicKey === undefined || point === undefined) return false;
  return scheme.verify(point, scheme.hash(message, dst), publicKey);
}

/** With the subgroup check. */
function decodeSignature(bytes: Uint8Array): G2Point | undefined {
  if (bytes.length !== BLS_SIGNATURE_BYTES) return undefined;
  try {
    return scheme.Signature.fromBytes(bytes);
  } catch {
    return undefined;
  }
}

function sumOf(points: readonly G1Point[]): G1Point {
  return points.reduce((sum, point) => sum.add(point));
}

/** HKDF_mod_r of EIP-2333 (derive_master_SK): hashes the salt until the key is not zero. */
function deriveSecretKey(seed: Uint8Array): Uint8Array {
  checkSeed(seed);
  const keyMaterial = concatBytes(seed, Uint8Array.of(0));
  const outputBytes = 48;
  let salt: Uint8Array = new TextEncoder().encode('BLS-SIG-KEYGEN-SALT-');
  for (;;) {
    salt = sha256(salt);
    const okm = expand(sha256, extract(sha256, keyMaterial, salt), Uint8Array.of(0, outputBytes), outputBytes);
    const scalar = scalars.create(okm.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n));
    if (scalar !== 0n) return scalars.toBytes(scalar);
  }
}
