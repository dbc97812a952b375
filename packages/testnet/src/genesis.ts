/** The testnet's genesis file. Its identity follows from the manifest alone; only addresses follow the ports in use. */

import { existsSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { type Genesis, GenesisFile, type GenesisValidator, parseGenesis, SquadError } from '@squad/types';
import { secretsOf } from './keys.ts';
import type { TestnetPaths } from './layout.ts';
import { sequencerNames } from './layout.ts';
import { type Manifest, rollupIds } from './manifest.ts';
import { publicDataOf } from './validator-keys.ts';

/** Unless told otherwise, testnets live in their first epoch. */
const EPOCH_LENGTH_BLOCKS = 10_000_000;

/**
 * Writes the genesis file, or brings its addresses up to date; `made`: all keys and proofs in it were made here and now.
 * Throws `TESTNET_FOLDER_CORRUPT` if it is another network's.
 */
export async function ensureGenesis(
  manifest: Manifest,
  paths: TestnetPaths,
  addressOf: (name: string) => string,
): Promise<{ readonly genesis: Genesis; readonly made: boolean }> {
  const before = existsSync(paths.genesisPath) ? await readGenesis(paths.genesisPath) : undefined;
  // The proof of possession takes a while to make: it is kept.
  const known = validatorsOf(before);
  const names = sequencerNames(manifest.sequencers);
  if (before !== undefined && known.size !== names.length) {
    throw corrupt(paths.genesisPath, `it has ${known.size} validators, the manifest ${names.length}`);
  }
  const everyone = names.map((_, sequencer) => ({ sequencer, weight: 1 }));
  const { lengthBlocks, sets } = manifest.epochs ?? {
    lengthBlocks: EPOCH_LENGTH_BLOCKS,
    sets: [{ fromEpoch: 0, members: everyone }],
  };
  const [first, ...later] = sets.map(({ fromEpoch, members }) => ({
    fromEpoch,
    validators: members.map(({ sequencer, weight }) => {
      const name = names[sequencer]!;
      const addresses = [addressOf(name)];
      const made = known.get(name) ?? publicDataOf(secretsOf(manifest, name), { name, weight, addresses });
      known.set(name, made);
      return { ...made, weight, addresses };
    }),
  }));
  const file: GenesisFile = {
    version: 1,
    name: 'squad-testnet',
    genesisTimeMs: manifest.createdAtMs,
    epochLengthBlocks: lengthBlocks,
    validators: first!.validators,
    ...(later.length > 0 ? { validatorSchedule: later } : {}),
    rollups: rollupIds(manifest.rollups + manifest.opaqueRollups).map((rollupId, index) => ({
      rollupId,
      kind: index < manifest.rollups ? manifest.rollupKind : 'opaque',
    })),
    ...(manifest.l1 ? { l1: manifest.l1 } : {}),
  };
  const genesis = parseGenesis(file);
  if (!genesis.ok) throw genesis.error;
  await replaceFile(paths.genesisPath, `${JSON.stringify(file, null, 2)}\n`);
  return { genesis: genesis.value, made: before === undefined };
}

/** All that a genesis file names, of whichever epoch, by name. */
function validatorsOf(file: GenesisFile | undefined): Map<string, GenesisValidator> {
  const all = [file?.validators, ...(file?.validatorSchedule ?? []).map(({ validators }) => validators)];
  return new Map(all.flatMap((validators) => validators ?? []).map((validator) => [validator.name, validator]));
}

async function readGenesis(path: string): Promise<GenesisFile> {
  try {
    return GenesisFile.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    throw corrupt(path, (error as Error).message.split('\n').slice(0, 6).join(' '));
  }
}

function corrupt(path: string, reason: string): SquadError {
  return new SquadError(
    'TESTNET_FOLDER_CORRUPT',
    `${path} cannot be used: ${reason}`,
    'Delete that file, it is made again from manifest.json; or begin anew with --reset (deletes all data of the testnet).',
  );
}

/** Readers see the old or the new content, never half of it. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}.draft`;
  await writeFile(draft, text, { flush: true });
  await rename(draft, path);
}
