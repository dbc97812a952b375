/** Refusals of proofs, as errors that a person reads. */

import { err, SquadError } from '@squad/types';
import type { Fault } from '../certificates.ts';
import type { VerificationErrorCode } from '../errors.ts';

const ELSEWHERE = 'Whoever gave it is wrong or lies: get it from another sequencer.';
const REMEDIES: Partial<Record<VerificationErrorCode, string>> = {
  WRONG_NETWORK: 'Give the genesis file of the network that it is of, or a proof of this network.',
  WRONG_VALIDATOR_SET:
    'Give the checkpoint of the epoch that it is of: the light client, or `squad receipt verify --rpc`, follows the hand-overs to it.',
  WRONG_VERSION: 'Use a version of the client that knows this one.',
  EPILOGUE: 'Ask for the block of that height of the epoch that orders it.',
};

/** The error of a proof that was refused: its code is that of the fault. */
export function refused(what: string, { code, reason }: Fault): { readonly ok: false; readonly error: SquadError } {
  return err(new SquadError(code, `${what} proves nothing: ${reason}`, REMEDIES[code] ?? ELSEWHERE));
}
