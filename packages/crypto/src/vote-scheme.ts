/**
 * How the consensus core signs and checks, seen as a port: signers are positions in the epoch's validator set, messages
 * are 32-byte signing roots. Implemented over a `Bls` by `createVoteScheme`; simulations put a scheme that cannot forge
 * in its place. Calls are synchronous and deterministic.
 */

import type { ValidatorIndex } from '@squad/types';

export interface VoteScheme {
  /** Signs with this node's key; a node without one (an observer) throws. */
  sign(root: Uint8Array): Uint8Array;
  /** Adds signatures without checking them. `undefined` if one is not even a curve point. */
  aggregate(signatures: readonly Uint8Array[]): Uint8Array | undefined;
  /** True if `signature` is the sum of valid signatures of `root` by exactly these signers (at least one, all known). */
  verify(signers: readonly ValidatorIndex[], root: Uint8Array, signature: Uint8Array): boolean;
}
