/**
 * Who validates which epoch, as files say it (R22): a genesis file names the set of epoch 0 and may name later ones, an
 * operator's file of the same form those that were agreed on since. A set stays until an entry of a later epoch replaces it.
 */

// By its namespace, as in genesis.ts.
import * as z from 'zod';
import { type Epoch, fromHex, isHex } from './ids.ts';
import { MAX_SCHEDULED_VALIDATOR_SETS, MAX_VALIDATOR_WEIGHT, MAX_VALIDATORS } from './limits.ts';
import { err, ok, type Result, SquadError } from './result.ts';
import type { ValidatorSet } from './validators.ts';

const hexOf = (byteLength: number) =>
  z.string().refine((value) => isHex(value, byteLength), { error: `expected 0x and ${2 * byteLength} hex digits` });

export const GenesisValidator = z.strictObject({
  name: z.string().min(1).max(64),
  blsPublicKey: hexOf(48),
  /** Signature of the BLS public key by itself under the POP domain: shows that the secret key is known. */
  proofOfPossession: hexOf(96),
  /** Ed25519 public key, the libp2p identity. */
  nodePublicKey: hexOf(32),
  weight: z.int().min(1).max(MAX_VALIDATOR_WEIGHT),
  /** libp2p multiaddrs without /p2p, such as /ip4/10.0.0.1/tcp/9000. */
  addresses: z.array(z.string().max(256)).max(8),
});
export type GenesisValidator = z.infer<typeof GenesisValidator>;

/** Adds an issue for each value of a list that stands there before. */
export function refuseRepeated(
  context: z.core.ParsePayload<unknown>,
  list: string,
  field: string,
  values: readonly unknown[],
): void {
  const seen = new Map<unknown, number>();
  values.forEach((value, index) => {
    const first = seen.get(value);
    if (first === undefined) seen.set(value, index);
    else {
      const message = `${value} is already that of ${list}.${first}`;
      context.issues.push({ code: 'custom', input: value, path: [list, index, field], message });
    }
  });
}

/** No key twice, whatever the case of its digits. */
export function refuseRepeatedKeys(
  context: z.core.ParsePayload<unknown>,
  validators: readonly GenesisValidator[],
): void {
  for (const key of ['blsPublicKey', 'nodePublicKey'] as const) {
    const keys = validators.map((validator) => validator[key].toLowerCase());
    refuseRepeated(context, 'validators', key, keys);
  }
}

export const ValidatorList = z.array(GenesisValidator).min(1).max(MAX_VALIDATORS);

/** The validators of an epoch and those after it, up to the next entry's. */
export const ScheduledValidatorSet = z
  .strictObject({ fromEpoch: z.int().min(1), validators: ValidatorList })
  .check((context) => refuseRepeatedKeys(context, context.value.validators));
export type ScheduledValidatorSet = z.infer<typeof ScheduledValidatorSet>;

/** Ascending by epoch. */
export const ValidatorSchedule = z
  .array(ScheduledValidatorSet)
  .max(MAX_SCHEDULED_VALIDATOR_SETS)
  .check((context) => {
    context.value.forEach(({ fromEpoch }, index) => {
      const before = context.value[index - 1];
      if (before === undefined || fromEpoch > before.fromEpoch) return;
      const message = `${fromEpoch} is not above ${before.fromEpoch}, that of the entry before it`;
      context.issues.push({ code: 'custom', input: fromEpoch, path: [index, 'fromEpoch'], message });
    });
  });
export type ValidatorSchedule = z.infer<typeof ValidatorSchedule>;

export const ValidatorScheduleFile = z.strictObject({ version: z.literal(1), validatorSchedule: ValidatorSchedule });
export type ValidatorScheduleFile = z.infer<typeof ValidatorScheduleFile>;

/** Checks the form of an operator's file; not the proofs of possession. */
export function parseValidatorSchedule(json: unknown): Result<ValidatorSchedule, SquadError> {
  const parsed = ValidatorScheduleFile.safeParse(json);
  if (parsed.success) return ok(parsed.data.validatorSchedule);
  const issue = parsed.error.issues[0]!;
  return err(
    new SquadError(
      'VALIDATOR_SCHEDULE_INVALID',
      `the validator schedule is not valid: ${issue.path.join('.') || 'the whole file'}: ${issue.message}`,
      'Mend that field; docs/operators.md shows the form. All validators need the same schedule before its epoch begins.',
    ),
  );
}

/** What the protocol knows of validators that a file names. */
export function validatorSetOf(epoch: Epoch, validators: readonly GenesisValidator[]): ValidatorSet {
  return {
    epoch,
    validators: validators.map(({ blsPublicKey, nodePublicKey, weight }) => ({
      blsPublicKey: fromHex(blsPublicKey),
      nodePublicKey: fromHex(nodePublicKey),
      weight,
    })),
  };
}

/**
 * What files say of validators of whichever epoch, by node key in lower-case hex, the latest word last: names, addresses.
 * Lists in the order in which they are to be believed.
 */
export function validatorsByNodeKey(
  ...lists: readonly (readonly GenesisValidator[])[]
): ReadonlyMap<string, GenesisValidator> {
  return new Map(lists.flat().map((validator) => [validator.nodePublicKey.toLowerCase(), validator]));
}
