/**
 * Ed25519 for any platform, and the one rule of verification for all: [S]B - [k]A must encode to exactly R, without the
 * cofactor; S is below the group order; neither A nor R has small order. The first two are OpenSSL's, which nodes use;
 * on the third its versions differ, so it is checked before OpenSSL is asked. (@noble/curves' own `verify` follows ZIP 215
 * and accepts more; a hostile author could then make a batch that is good in one place only.)
 */

import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes, equalBytes, SquadError, toHex } from '@squad/types';

export const ED25519_SEED_BYTES = 32;
export const ED25519_PUBLIC_KEY_BYTES = 32;
export const ED25519_SIGNATURE_BYTES = 64;

/** A node's identity: signs batches and is the libp2p key. */
export interface NodeKey {
  /** 32 bytes, raw. */
  readonly publicKey: Uint8Array;
  /** The 32-byte seed (RFC 8032's private key). */
  readonly secretKey: Uint8Array;
  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
}

/** Bytes of a wrong length or that are no point answer false; never throws. */
export type VerifyEd25519 = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;

export function createNodeKey(seed: Uint8Array): NodeKey {
  checkNodeKeySeed(seed);
  const secretKey = seed.slice();
  return {
    publicKey: ed25519.getPublicKey(secretKey),
    secretKey,
    sign: (message) => ed25519.sign(message, secretKey),
  };
}

export function checkNodeKeySeed(seed: Uint8Array): void {
  if (seed.length === ED25519_SEED_BYTES) return;
  throw new SquadError(
    'NODE_KEY_SEED_INVALID',
    `a node key's seed has ${ED25519_SEED_BYTES} bytes, this one has ${seed.length}`,
    `Give ${ED25519_SEED_BYTES} bytes from a cryptographic random source.`,
  );
}

/** The y coordinates of the eight points of small order, and their forms that are not reduced; little-endian. */
const SMALL_ORDER_Y: ReadonlySet<string> = new Set([
  '0x0000000000000000000000000000000000000000000000000000000000000000',
  '0x0100000000000000000000000000000000000000000000000000000000000000',
  '0x26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '0xc7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  '0xecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0xedffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0xeeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

/** The part of the rule that OpenSSL does not share in all its versions: the lengths, and no point of small order. */
export function isVerifiable(publicKey: Uint8Array, signature: Uint8Array): boolean {
  return (
    publicKey.length === ED25519_PUBLIC_KEY_BYTES &&
    signature.length === ED25519_SIGNATURE_BYTES &&
    !hasSmallOrder(publicKey) &&
    !hasSmallOrder(signature.subarray(0, 32))
  );
}

function hasSmallOrder(point: Uint8Array): boolean {
  const last = point[31]! & 0x7f;
  // One of these last bytes is rare, so nearly every point is decided here.
  if (last !== 0 && last !== 0x05 && last !== 0x7a && last !== 0x7f) return false;
  return SMALL_ORDER_Y.has(toHex(point.with(31, last)));
}

const { Point } = ed25519;

export const verifyEd25519: VerifyEd25519 = (publicKey, message, signature) => {
  if (!isVerifiable(publicKey, signature)) return false;
  const encodedR = signature.subarray(0, 32);
  const s = littleEndian(signature.subarray(32));
  if (s >= Point.Fn.ORDER) return false;
  try {
    // `true`: a y coordinate of p or more is reduced, not refused, as OpenSSL does.
    const key = Point.fromBytes(publicKey, true);
    const k = Point.Fn.create(littleEndian(sha512(concatBytes(encodedR, publicKey, message))));
    const r = Point.BASE.multiplyUnsafe(s).subtract(key.multiplyUnsafe(k));
    return equalBytes(r.toBytes(), encodedR);
  } catch {
    return false;
  }
};

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n);
}
