/** Reads `validator.json`: the public data of a validator, as `squad keys new` writes it. */

import { readFile } from 'node:fs/promises';
import { GenesisValidator, SquadError } from '@squad/types';

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
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw fault((error as Error).message);
  }
  const parsed = GenesisValidator.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw fault(`${issue.path.map(String).join('.') || 'the whole file'}: ${issue.message}`);
}
