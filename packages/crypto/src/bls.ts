/**
 * The BLS port: BLS12-381, min-pubkey-size, ciphersuite BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_ (Ethereum's).
 * Two implementations: `noble` (reference, browser) and `blst` (native, what nodes use). Keys and signatures are their
 * compressed bytes. Bytes that are not a valid point make the verifying functions answer false, never throw.
 */
export interface Bls {
  readonly name: 'noble' | 'blst';
  /** EIP-2333 style: 32 bytes of secret key from at least 32 bytes of entropy. */
  secretKeyFromSeed(seed: Uint8Array): Uint8Array;
  publicKeyOf(secretKey: Uint8Array): Uint8Array;
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
