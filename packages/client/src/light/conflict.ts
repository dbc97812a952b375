/** Two histories of one network that are both certified: more than a third of the weight signed both. */

import { type Bls, createVoteScheme, nobleBls, verifyEd25519, verifyEvidence } from '@squad/crypto';
import {
  type Bytes32,
  type Certificate,
  type Evidence,
  SquadError,
  signersOf,
  type ValidatorIndex,
  type ValidatorSet,
} from '@squad/types';

/** What shows that the set has forked. Both sides are verified. */
export interface Conflict {
  readonly validatorSet: ValidatorSet;
  readonly first: Certificate;
  readonly second: Certificate;
  /** Validators that signed both certificates: at least one of them broke the rules. */
  readonly signedBoth: readonly ValidatorIndex[];
  /** E2, if both are of one view: it convicts each of `signedBoth` by itself, off-line and on L1. */
  readonly evidence: Evidence | undefined;
}

/**
 * Of two verified finalizations of blocks that are not on one chain.
 *
 * @example
 * const { signedBoth, evidence } = conflictOf(checkpoint.networkId, validatorSet, first, second);
 * console.log(signedBoth, evidence ? 'convicts them' : 'of two views');
 */
export function conflictOf(
  networkId: Bytes32,
  validatorSet: ValidatorSet,
  first: Certificate,
  second: Certificate,
  bls: Bls = nobleBls,
): Conflict {
  const signers = new Set(signersOf(first));
  const signedBoth = signersOf(second).filter((signer) => signers.has(signer));
  const e2: Evidence = { kind: 'E2', first, second };
  const scheme = createVoteScheme(bls, validatorSet);
  const convicts = verifyEvidence(e2, validatorSet, networkId, scheme, verifyEd25519).ok;
  return { validatorSet, first, second, signedBoth, evidence: convicts ? e2 : undefined };
}

/** Throw it: nothing that is built on either history can be trusted. `data.conflict` is the `Conflict`. */
export function conflictingHistory(what: string, conflict: Conflict): SquadError {
  const who = conflict.signedBoth.join(', ');
  return new SquadError(
    'CONFLICTING_HISTORY',
    `two final histories differ in ${what}; validators ${who} of epoch ${conflict.validatorSet.epoch} signed both`,
    'Stop, and show data.conflict to the operators of the network: its validators broke the rules.',
    { conflict },
  );
}
