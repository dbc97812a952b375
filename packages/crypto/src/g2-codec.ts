/**
 * Compressed points of the curve that G2 lies in, *without* the subgroup check: summing votes wants one check on the sum,
 * not one on each vote, and @noble/curves checks in each of its own codecs. The format is Zcash's, as in Ethereum:
 * 96 bytes, x.c1 then x.c0, big-endian; top bits: compressed, infinity, y is the greater root.
 */

import { bls12_381 } from '@noble/curves/bls12-381.js';

const { Fp, Fp2 } = bls12_381.fields;
const Point = bls12_381.G2.Point;
type G2Point = typeof Point.BASE;
/** The curve is y² = x³ + 4(1 + i). */
const B = Fp2.fromBigTuple([4n, 4n]);
const FP_BYTES = 48;
const COMPRESSED = 0x80;
const INFINITY = 0x40;
const GREATER = 0x20;

/** `undefined` unless the bytes are the one encoding of a point on the curve (the point at infinity included). */
export function decodeG2(bytes: Uint8Array): G2Point | undefined {
  if (bytes.length !== 2 * FP_BYTES) return undefined;
  const flags = bytes[0]! & 0xe0;
  if (flags === (COMPRESSED | INFINITY)) {
    return (bytes[0]! & 0x1f) === 0 && bytes.every((byte, i) => i === 0 || byte === 0) ? Point.ZERO : undefined;
  }
  if (flags !== COMPRESSED && flags !== (COMPRESSED | GREATER)) return undefined;
  const c1 = toBigInt(bytes, 0, 0x1f);
  const c0 = toBigInt(bytes, FP_BYTES, 0xff);
  if (c0 >= Fp.ORDER || c1 >= Fp.ORDER) return undefined;
  const x = Fp2.fromBigTuple([c0, c1]);
  try {
    const y = Fp2.sqrt(Fp2.add(Fp2.mul(Fp2.sqr(x), x), B));
    return Point.fromAffine({ x, y: isGreater(y) === (flags === (COMPRESSED | GREATER)) ? y : Fp2.neg(y) });
  } catch {
    return undefined;
  }
}

export function encodeG2(point: G2Point): Uint8Array {
  const bytes = new Uint8Array(2 * FP_BYTES);
  if (point.is0()) {
    bytes[0] = COMPRESSED | INFINITY;
    return bytes;
  }
  const { x, y } = point.toAffine();
  bytes.set(Fp.toBytes(x.c1), 0);
  bytes.set(Fp.toBytes(x.c0), FP_BYTES);
  bytes[0]! |= COMPRESSED | (isGreater(y) ? GREATER : 0);
  return bytes;
}

/** Of y and -y, the one that is greater as (c1, c0) read as numbers. */
function isGreater(y: { readonly c0: bigint; readonly c1: bigint }): boolean {
  return 2n * (y.c1 === 0n ? y.c0 : y.c1) > Fp.ORDER;
}

function toBigInt(bytes: Uint8Array, start: number, firstByteMask: number): bigint {
  let hex = '';
  for (let i = start; i < start + FP_BYTES; i++) {
    hex += (bytes[i]! & (i === start ? firstByteMask : 0xff)).toString(16).padStart(2, '0');
  }
  return BigInt(`0x${hex}`);
}
