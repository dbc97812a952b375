/**
 * The BLS port: BLS12-381, min-pubkey-size, ciphersuite BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_ (Ethereum's).
 * Two implementations: `noble` (reference, browser) and `blst` (native, what nodes use). Keys and signatures are their
 * compressed bytes. Bytes that are not a valid point make the verifying functions answer false, never throw.
 */
import { SquadError } from '@squad/types';

export interface Bls {
  readonly name: 'noble' | 'blst';
  /** EIP-2333 style: 32 bytes of secret key from at least 32 bytes of entropy. */
  secretKeyFromSeed(seed: Uint8Array): Uint8Array;
  /** Throws `BLS_SECRET_KEY_INVALID` if the secret key is not 32 bytes of a number in 1 to r-1, as `sign` does. */
  publicKeyOf(secretKey: Uint8Array): Uint8Array;
  /** KeyValidate: the one encoding of a point in the subgroup that is not infinity. For keys from outside, once each. */
  isValidPublicKey(publicKey: Uint8Array): boolean;
  sign(secretKey: Uint8Array, message: Uint8Array): Uint8Array;
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** Sum of signatures. `undefined` if the list is empty or one is not a point of the curve. No subgroup checks. */
  aggregateSignatures(signatures: readonly Uint8Array[]): Uint8Array | undefined;
  /** One message, many signers: one subgroup check on the sum, one pairing check. Keys must have proven possession. */
  fastAggregateVerify(publicKeys: readonly Uint8Array[], message: Uint8Array, signature: Uint8Array): boolean;
  aggregateVerify(publicKeys: readonly Uint8Array[], messages: readonly Uint8Array[], signature: Uint8Array): boolean;
  /** Proof of possession: the public key signed under the POP domain separation tag. */
  provePossession(secretKey: Uint8Array): Uint8Array;
  verifyPossession(publicKey: Uint8Array, proof: Uint8Array): boolean;
}

/** Domain separation tag of signatures (draft-irtf-cfrg-bls-signature-05, 4.2.3). */
export const BLS_SIGNATURE_DST = 'BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_';
/** Domain separation tag of proofs of possession (same place). */
export const BLS_POSSESSION_DST = 'BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_';

export const BLS_SECRET_KEY_BYTES = 32;
export const BLS_PUBLIC_KEY_BYTES = 48;
export const BLS_SIGNATURE_BYTES = 96;
/** Least bytes of entropy for `secretKeyFromSeed`. */
export const BLS_SEED_MIN_BYTES = 32;

/** Never says anything of the key's bytes. */
export function invalidSecretKey(secretKey: Uint8Array, cause: unknown): SquadError {
  return new SquadError(
    'BLS_SECRET_KEY_INVALID',
    `the BLS secret key (${secretKey.length} bytes) is not ${BLS_SECRET_KEY_BYTES} bytes of a number from 1 to the group order - 1`,
    'Use a key from secretKeyFromSeed or from a keystore made by `squad keys`.',
    {},
    cause,
  );
}

export function checkSeed(seed: Uint8Array): void {
  if (seed.length >= BLS_SEED_MIN_BYTES) return;
  throw new SquadError(
    'BLS_SEED_TOO_SHORT',
    `the seed has ${seed.length} bytes, a BLS key needs at least ${BLS_SEED_MIN_BYTES}`,
    `Give ${BLS_SEED_MIN_BYTES} bytes or more from a cryptographic random source.`,
  );
}
