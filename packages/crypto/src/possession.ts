/** Proofs of possession of a genesis file. Without them, one validator could choose a key that cancels the others'. */

import { err, fromHex, type Genesis, ok, type Result, SquadError } from '@squad/types';
import type { Bls } from './bls.ts';

/** All validators' proofs; the error names the first that is bad. Costs one verification each. */
export function checkPossession(genesis: Genesis, bls: Bls): Result<void, SquadError> {
  for (const [index, { name, blsPublicKey, proofOfPossession }] of genesis.file.validators.entries()) {
    if (bls.verifyPossession(fromHex(blsPublicKey), fromHex(proofOfPossession))) continue;
    return err(
      new SquadError(
        'GENESIS_POSSESSION_INVALID',
        `the genesis file is not valid: validators.${index}.proofOfPossession: does not prove possession of the BLS key of "${name}"`,
        `Ask "${name}" for a new proof (\`squad keys\` prints it beside the public key), or remove it from the file.`,
        { field: `validators.${index}.proofOfPossession`, validator: name, blsPublicKey },
      ),
    );
  }
  return ok(undefined);
}
