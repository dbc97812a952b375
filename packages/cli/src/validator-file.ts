/** Reads `validator.json`: the public data of a validator, as `squad keys new` writes it. */

import { readBoundedText } from '@squad/service';
import { GenesisValidator, SquadError } from '@squad/types';

/** Bytes of a `validator.json`; all that its form allows is 3 kB. */
export const MAX_VALIDATOR_FILE_BYTES: number = 16 * 1024;

export async function readValidatorFile(path: string): Promise<GenesisValidator> {
  const fault = (reason: string) =>
    new SquadError(
      'VALIDATOR_FILE_INVALID',
      `${path} is not a validator's public data: ${reason}`,
      'Give the validator.json that `squad keys new` wrote, unchanged.',
      { path },
    );
  let json: unknown;
  try {
    json = JSON.parse(await readBoundedText(path, MAX_VALIDATOR_FILE_BYTES, 'MAX_VALIDATOR_FILE_BYTES'));
  } catch (error) {
    throw fault((error as Error).message);
  }
  const parsed = GenesisValidator.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw fault(`${issue.path.map(String).join('.') || 'the whole file'}: ${issue.message}`);
}
