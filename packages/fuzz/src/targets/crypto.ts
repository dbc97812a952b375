/** Points of BLS keys and signatures. Two implementations read them: nodes use one, browsers the other; they must agree. */

import { nobleBls } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import type { Random } from '../random.ts';
import { demand, demandSameBytes, type Target } from '../target.ts';

const MESSAGE = new Uint8Array(32).fill(9);
const SECRET_KEYS: readonly Uint8Array[] = [1, 2, 3].map((seed) =>
  blstBls.secretKeyFromSeed(new Uint8Array(32).fill(seed)),
);
const SIGNATURES: readonly Uint8Array[] = SECRET_KEYS.map((secretKey) => blstBls.sign(secretKey, MESSAGE));
const PUBLIC_KEYS: readonly Uint8Array[] = SECRET_KEYS.map((secretKey) => blstBls.publicKeyOf(secretKey));

/** A sum of one point is that point, in its one encoding. */
function checkSignature(input: Uint8Array): boolean {
  const [native, portable] = [blstBls.aggregateSignatures([input]), nobleBls.aggregateSignatures([input])];
  demand((native === undefined) === (portable === undefined), `only ${native ? 'blst' : 'noble'} reads this signature`);
  if (!native || !portable) return false;
  demandSameBytes(input, native, 'a signature');
  demandSameBytes(input, portable, 'a signature, by noble');
  return true;
}

function checkPublicKey(input: Uint8Array): boolean {
  const [native, portable] = [blstBls.isValidPublicKey(input), nobleBls.isValidPublicKey(input)];
  demand(native === portable, `only ${native ? 'blst' : 'noble'} accepts this public key`);
  return native;
}

/** The flags of the encoding, or the end of a coordinate: what decides whether a number is below the field's order. */
function mutatePoint(input: Uint8Array, random: Random): Uint8Array {
  const copy = input.slice();
  if (copy.length === 0) return copy;
  if (random.chance(0.5)) copy[0]! ^= random.pick([0x20, 0x40, 0x80, 0xe0, 0x1f]);
  else if (random.chance(0.3)) copy.fill(random.pick([0, 0xff]), 1);
  else copy[random.below(copy.length)]! += random.pick([1, 255]);
  return copy;
}

// Roots in the field, by noble: one to three milliseconds an input.
const dear = {
  mutate: mutatePoint,
  longRunInputs: 50_000,
  budget: { bytes: 16 << 20, bytesPerInputByte: 256, milliseconds: 2_000 },
};

export const CRYPTO_TARGETS: readonly Target[] = [
  {
    ...dear,
    name: 'bls-signature',
    what: 'votes, certificates: a signature as a point of the curve',
    make: (random) => random.pick(SIGNATURES),
    check: checkSignature,
  },
  {
    ...dear,
    name: 'bls-public-key',
    what: 'files, validator sets: a public key as a point of the group',
    make: (random) => random.pick(PUBLIC_KEYS),
    check: checkPublicKey,
  },
];
