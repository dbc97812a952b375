/** Reads the network's genesis file and checks it, proofs of possession included. Loads nothing heavy. */

import { checkPossession } from '@squad/crypto';
import { blstBls, checkPossessionOnce } from '@squad/crypto/node';
import { readBoundedText } from '@squad/service';
import { type Genesis, MAX_GENESIS_FILE_BYTES, parseGenesis, SquadError } from '@squad/types';

/**
 * Throws SquadErrors: `GENESIS_UNREADABLE`, `GENESIS_INVALID`, `GENESIS_POSSESSION_INVALID`. `dataDirectory`: of a node, which
 * checks the proofs of possession once.
 */
export async function readGenesis(path: string, dataDirectory?: string): Promise<Genesis> {
  const json = await parseJson(path);
  const genesis = parseGenesis(json);
  if (!genesis.ok) throw genesis.error;
  const possession =
    dataDirectory === undefined
      ? checkPossession(genesis.value, blstBls)
      : await checkPossessionOnce(genesis.value, blstBls, dataDirectory);
  if (!possession.ok) throw possession.error;
  return genesis.value;
}

async function parseJson(path: string): Promise<unknown> {
  const remedy = 'Get the genesis file from the network, and name its path with --genesis.';
  let text: string;
  try {
    text = await readBoundedText(path, MAX_GENESIS_FILE_BYTES, 'MAX_GENESIS_FILE_BYTES');
  } catch (cause) {
    const message = `the genesis file ${path} cannot be read: ${(cause as Error).message}`;
    throw new SquadError('GENESIS_UNREADABLE', message, remedy, { path }, cause);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SquadError('GENESIS_INVALID', `the genesis file ${path} is not JSON`, remedy, { path }, cause);
  }
}
