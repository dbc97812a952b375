/** Proofs of possession of a genesis file, or a validator schedule. Without them, one validator could choose a key that cancels the others'. */

import {
  err,
  fromHex,
  type Genesis,
  type GenesisValidator,
  ok,
  type Result,
  SquadError,
  type ValidatorSchedule,
} from '@squad/types';
import type { Bls } from './bls.ts';

/**
 * All validators' proofs, those of later epochs included; the error names the first that is bad. Costs one verification each.
 *
 * @example
 * const checked = checkPossession(genesis, native.bls);
 * if (!checked.ok) throw checked.error;
 */
export function checkPossession({ file }: Pick<Genesis, 'file'>, bls: Bls): Result<void, SquadError> {
  const fault = possessionFault(file.validators, 'validators', bls) ?? scheduleFault(file.validatorSchedule ?? [], bls);
  return judged(fault, 'GENESIS_POSSESSION_INVALID', 'the genesis file');
}

/** The same for an operator's schedule: `VALIDATOR_SCHEDULE_POSSESSION_INVALID`. */
export function checkSchedulePossession(schedule: ValidatorSchedule, bls: Bls): Result<void, SquadError> {
  return judged(scheduleFault(schedule, bls), 'VALIDATOR_SCHEDULE_POSSESSION_INVALID', 'the validator schedule');
}

function judged(fault: PossessionFault | undefined, code: string, what: string): Result<void, SquadError> {
  if (fault === undefined) return ok(undefined);
  const { name, field, blsPublicKey } = fault;
  return err(
    new SquadError(
      code,
      `${what} is not valid: ${field}: does not prove possession of the BLS key of "${name}"`,
      `Ask "${name}" for a new proof (\`squad keys\` prints it beside the public key), or remove it from the file.`,
      { field, validator: name, blsPublicKey },
    ),
  );
}

interface PossessionFault {
  readonly field: string;
  readonly name: string;
  readonly blsPublicKey: string;
}

function scheduleFault(schedule: ValidatorSchedule, bls: Bls): PossessionFault | undefined {
  for (const [index, { validators }] of schedule.entries()) {
    const fault = possessionFault(validators, `validatorSchedule.${index}.validators`, bls);
    if (fault) return fault;
  }
  return undefined;
}

function possessionFault(validators: readonly GenesisValidator[], list: string, bls: Bls): PossessionFault | undefined {
  for (const [index, { name, blsPublicKey, proofOfPossession }] of validators.entries()) {
    if (bls.verifyPossession(fromHex(blsPublicKey), fromHex(proofOfPossession))) continue;
    return { field: `${list}.${index}.proofOfPossession`, name, blsPublicKey };
  }
  return undefined;
}
