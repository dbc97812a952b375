/**
 * The proof that EIP-4844's point evaluation precompile checks: a polynomial that is committed to has the value y at z. Of the
 * trusted setup, which has megabytes, a verifier needs one point. On noble's BLS12-381, some 20 ms a proof.
 */

import { bls12_381 } from '@noble/curves/bls12-381.js';
import { fromHex, type Hex } from '@squad/types';

/** [τ]G2 of Ethereum's ceremony: the second of `g2_monomial` in its `trusted_setup.json`. */
const TAU_G2: Hex =
  '0xb5bfd7dd8cdeb128843bc287230af38926187075cbfbefa81009a2ce615ac53d2914e5870cb452d2afaaab24f3499f72185cbfee53492714734429b7b38608e23926c911cceceac9a36851477ba4c60b087041de621000edc98edada20c1def2';

const G1 = bls12_381.G1.Point;
const G2 = bls12_381.G2.Point;
const { Fr, Fp12 } = bls12_381.fields;
let tauG2: InstanceType<typeof G2> | undefined;

/** All as hex, of 48, 32, 32 and 48 bytes. Throws, in words that the library knows, for what is no point or no field element. */
export function verifyKzgProof(commitment: string, z: string, y: string, proof: string): boolean {
  const [committed, quotient] = [commitment, proof].map((hex) => pointOf(hex as Hex)) as [G1Point, G1Point];
  tauG2 ??= G2.fromBytes(fromHex(TAU_G2));
  // e(C - [y]G1 + [z]π, -G2) · e(π, [τ]G2) = 1
  const pairs = [
    {
      g1: committed.subtract(G1.BASE.multiplyUnsafe(scalarOf(y))).add(quotient.multiplyUnsafe(scalarOf(z))),
      g2: G2.BASE.negate(),
    },
    { g1: quotient, g2: tauG2 },
  ];
  // A pairing with the point at infinity is 1.
  const rest = pairs.filter(({ g1 }) => !g1.is0());
  return rest.length === 0 || Fp12.eql(bls12_381.pairingBatch(rest), Fp12.ONE);
}

type G1Point = InstanceType<typeof G1>;

function pointOf(hex: Hex): G1Point {
  try {
    const point = G1.fromBytes(fromHex(hex));
    // The curve, and the subgroup.
    if (!point.is0()) point.assertValidity();
    return point;
  } catch (error) {
    throw new RangeError(`C_KZG_BADARGS: ${(error as Error).message}`);
  }
}

function scalarOf(hex: string): bigint {
  const value = BigInt(hex);
  if (value < Fr.ORDER) return value;
  throw new RangeError('C_KZG_BADARGS: not a field element');
}
