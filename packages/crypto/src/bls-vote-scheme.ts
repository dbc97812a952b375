/** `VoteScheme` over any `Bls`: positions in a validator set become public keys. */

import type { ValidatorIndex, ValidatorSet } from '@squad/types';
import { SquadError } from '@squad/types';
import type { Bls } from './bls.ts';
import type { VoteScheme } from './vote-scheme.ts';

/**
 * The scheme of one epoch's set. The keys of the set must have proven possession (`checkPossession`, or the registry).
 * Without a secret key (an observer) `sign` throws `NO_SIGNING_KEY`. Summed keys are not kept: adding 67 keys costs 0.07 ms
 * beside a verification of 1.1 ms, and the set of signers differs in most certificates.
 *
 * @example
 * const scheme = createVoteScheme(nobleBls, validatorSet);
 */
export function createVoteScheme(bls: Bls, validatorSet: ValidatorSet, secretKey?: Uint8Array): VoteScheme {
  const publicKeys = validatorSet.validators.map((validator) => validator.blsPublicKey);
  return {
    sign(root) {
      if (secretKey !== undefined) return bls.sign(secretKey, root);
      throw new SquadError(
        'NO_SIGNING_KEY',
        'this node has no validator key and cannot sign votes',
        'Start it with a keystore of a validator of the set, or run it as an observer.',
      );
    },

    aggregate: (signatures) => bls.aggregateSignatures(signatures),

    verify(signers, root, signature) {
      const keys = keysOf(publicKeys, signers);
      return keys !== undefined && bls.fastAggregateVerify(keys, root, signature);
    },
  };
}

/** `undefined` if there is no signer, one is unknown, or one is named twice (it would count for two). */
function keysOf(publicKeys: readonly Uint8Array[], signers: readonly ValidatorIndex[]): Uint8Array[] | undefined {
  const seen = new Set<ValidatorIndex>();
  const keys: Uint8Array[] = [];
  for (const signer of signers) {
    const key = publicKeys[signer];
    if (key === undefined || seen.has(signer)) return undefined;
    seen.add(signer);
    keys.push(key);
  }
  return keys.length === 0 ? undefined : keys;
}
