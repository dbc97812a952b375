/**
 * Proofs of possession are checked once for a network and a data folder: a check takes some 40 ms a validator, which is
 * most of a node's start. The network id binds the keys that were checked. Who can write into the data folder of a node has
 * that node anyway.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Genesis, ok, type Result, type SquadError, toHex } from '@squad/types';
import type { Bls } from '../bls.ts';
import { checkPossession } from '../possession.ts';

const FILE_NAME = 'possession-checked';

/** As `checkPossession`, unless the folder has the record of an earlier check. A folder that does not exist has none. */
export async function checkPossessionOnce(
  genesis: Genesis,
  bls: Bls,
  dataDirectory: string,
): Promise<Result<void, SquadError>> {
  const recorded = await readFile(join(dataDirectory, FILE_NAME), 'utf8').catch(() => undefined);
  if (recorded?.trim() === toHex(genesis.networkId)) return ok(undefined);
  const checked = checkPossession(genesis, bls);
  // Without the record, the next start takes longer: no reason to fail now.
  if (checked.ok) await recordPossession(genesis, dataDirectory).catch(() => {});
  return checked;
}

/** For who has checked the proofs, or has made the keys; the folder must exist. */
export async function recordPossession({ networkId }: Genesis, dataDirectory: string): Promise<void> {
  await writeFile(join(dataDirectory, FILE_NAME), `${toHex(networkId)}\n`);
}
