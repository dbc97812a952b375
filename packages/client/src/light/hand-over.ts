/** One step of a light client: from the set of one epoch to that of the next, by a hand-over proof (R22). Pure. */

import { createVoteScheme, nobleBls, verifyHandOver } from '@squad/crypto';
import {
  decodeHandOverProof,
  err,
  type HandOverProof,
  lastHeightOf,
  ok,
  type Result,
  SquadError,
  type ValidatorSet,
  validatorSetHash,
} from '@squad/types';
import type { ProofOptions } from '../proof/block-proof.ts';
import type { Checkpoint } from '../proof/checkpoint.ts';

/** A checkpoint with the set that it names. */
export interface KnownSet {
  readonly checkpoint: Checkpoint;
  readonly validatorSet: ValidatorSet;
}

/**
 * The next epoch's set, if the proof shows that the known one handed over to it. Costs one signature check.
 *
 * @example
 * const next = verifyHandOverFrom({ checkpoint, validatorSet }, handOver);
 * if (next.ok) console.log('epoch', next.value.validatorSet.epoch);
 */
export function verifyHandOverFrom(
  known: KnownSet,
  input: Uint8Array | HandOverProof,
  { bls = nobleBls }: ProofOptions = {},
): Result<KnownSet, SquadError> {
  const decoded = input instanceof Uint8Array ? decodeHandOverProof(input) : ok(input);
  if (!decoded.ok) return refused('HAND_OVER_ENCODING', decoded.error.reason);
  const { networkId, epochLengthBlocks } = known.checkpoint;
  const { validatorSet } = known;
  const verified = verifyHandOver(decoded.value, {
    networkId,
    validatorSet,
    lastHeight: lastHeightOf(validatorSet.epoch, epochLengthBlocks),
    scheme: createVoteScheme(bls, validatorSet),
  });
  if (!verified.ok) return refused(verified.error.code, verified.error.reason);
  const next = verified.value;
  const checkpoint = { networkId, epochLengthBlocks, validatorSetHash: validatorSetHash(next) };
  return ok({ checkpoint, validatorSet: next });
}

function refused(code: string, reason: string): { readonly ok: false; readonly error: SquadError } {
  const remedy = 'Whoever gave it is wrong or lies: get it from another sequencer.';
  return err(new SquadError(code, `the hand-over proof proves nothing: ${reason}`, remedy));
}
