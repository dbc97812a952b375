/** Reads the files that the options name, and guards the data directory. Every fault is a SquadError with its remedy. */

import { randomBytes } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { NodeKey } from '@squad/crypto';
import { blstBls, checkPossessionOnce, createNodeKey, readNodeKeyFile, writeNodeKeyFile } from '@squad/crypto/node';
import { readBoundedText } from '@squad/service';
import {
  type Bytes32,
  type Genesis,
  type GenesisFile,
  MAX_GENESIS_FILE_BYTES,
  MAX_VALIDATOR_SCHEDULE_FILE_BYTES,
  parseGenesis,
  parseValidatorSchedule,
  SquadError,
  toHex,
  type ValidatorSchedule,
} from '@squad/types';
import { MAX_ROLLUP_FILE_BYTES, parseRollupFile, type RollupFile } from './config/rollup-file.ts';
import type { RollupNodeOptions } from './options.ts';

export interface NodeFiles {
  readonly genesis: Genesis;
  readonly rollup: RollupFile;
  readonly nodeKey: NodeKey;
  /** Of an operator's file: where to find validators of later epochs. Who they are is proven, whatever it says. */
  readonly validatorSchedule: ValidatorSchedule;
  /** Where derived blocks and state are. */
  readonly rollupDirectory: string;
}

/**
 * Throws `FILE_UNREADABLE`, `FILE_NOT_JSON`, `ROLLUP_NOT_ORDERED`, `L1_NOT_FOLLOWED`, `FOLDER_UNUSABLE`,
 * `DATA_OF_OTHER_NETWORK`, and what the parsers throw.
 */
export async function readFiles(options: RollupNodeOptions): Promise<NodeFiles> {
  const genesis = await readGenesis(options);
  const rollup = await readRollup(options, genesis);
  await makeDataDirectory(options.dataDirectory);
  await guardNetwork(options.dataDirectory, genesis.networkId);
  const nodeKey = await readOrMakeNodeKey(options);
  const validatorSchedule = await readSchedule(options);
  return {
    genesis,
    rollup,
    nodeKey,
    validatorSchedule,
    rollupDirectory: join(options.dataDirectory, `rollup-${rollup.rollupId}`),
  };
}

async function readGenesis({ genesis: path, dataDirectory }: RollupNodeOptions): Promise<Genesis> {
  const remedy = 'Get the genesis file from the network.';
  const genesis = parseGenesis(await readJson(path, 'genesis', remedy, 'MAX_GENESIS_FILE_BYTES'));
  if (!genesis.ok) throw genesis.error;
  const possession = await checkPossessionOnce(genesis.value, blstBls, dataDirectory);
  if (!possession.ok) throw possession.error;
  return genesis.value;
}

async function readSchedule({ validatorSchedule: path }: RollupNodeOptions): Promise<ValidatorSchedule> {
  if (path === undefined) return [];
  const remedy = 'Get the validator schedule from a validator, or leave it out.';
  const json = await readJson(path, 'validator-schedule', remedy, 'MAX_VALIDATOR_SCHEDULE_FILE_BYTES');
  const schedule = parseValidatorSchedule(json);
  if (schedule.ok) return schedule.value;
  throw schedule.error;
}

async function readRollup({ rollup: path, blockTimeMs }: RollupNodeOptions, genesis: Genesis): Promise<RollupFile> {
  const remedy = 'Get the file from whoever runs the rollup.';
  const rollup = parseRollupFile(await readJson(path, 'rollup', remedy, 'MAX_ROLLUP_FILE_BYTES'));
  if (!rollup.ok) throw rollup.error;
  requireSameL1(rollup.value, genesis.file);
  const { rollupId, executor } = rollup.value;
  // Of Ethereum's transactions, whoever executes them: the validators check signatures and chain id, and keep nonces in one lane.
  const kind = executor === 'ledger' || executor === 'custom' ? 'opaque' : 'evm';
  const ordered = genesis.file.rollups.find((entry) => entry.rollupId === rollupId);
  if (ordered?.kind === kind)
    return blockTimeMs === undefined ? rollup.value : withBlockTime(rollup.value, blockTimeMs);
  const found = ordered ? `is of kind "${ordered.kind}"` : 'is not among its rollups';
  throw new SquadError(
    'ROLLUP_NOT_ORDERED',
    `the rollup file has rollup ${rollupId} of kind "${kind}"; in the genesis file of "${genesis.file.name}" it ${found}`,
    `Use files that belong together. The network's rollups: ${genesis.file.rollups.map((entry) => entry.rollupId).join(', ')}.`,
    { rollupId, path },
  );
}

/** A rollup's L1 origin goes on by the network's anchors: by those of another L1, or of none, it never would. */
function requireSameL1({ name, op }: RollupFile, network: GenesisFile): void {
  const [wanted, found] = [op?.l1?.chainId, network.l1?.chainId];
  if (wanted === undefined || wanted === found) return;
  throw new SquadError(
    'L1_NOT_FOLLOWED',
    `the rollup file of "${name}" follows the L1 of chain ${wanted}, the network "${network.name}" ${found === undefined ? 'none' : `that of chain ${found}`}`,
    'Use files that belong together; without op.l1 the rollup keeps the L1 origin that it began with.',
  );
}

/** The rules hold for what was changed, too. */
function withBlockTime(file: RollupFile, blockTimeMs: number): RollupFile {
  const changed = parseRollupFile({ ...file, blockTimeMs });
  if (!changed.ok) throw changed.error;
  return changed.value;
}

const MAX_FILE_BYTES = { MAX_GENESIS_FILE_BYTES, MAX_VALIDATOR_SCHEDULE_FILE_BYTES, MAX_ROLLUP_FILE_BYTES };

async function readJson(
  path: string,
  what: string,
  remedy: string,
  limitName: keyof typeof MAX_FILE_BYTES,
): Promise<unknown> {
  let text: string;
  try {
    text = await readBoundedText(path, MAX_FILE_BYTES[limitName], limitName);
  } catch (error) {
    const message = `the ${what} file ${path} cannot be read: ${(error as Error).message}`;
    throw new SquadError('FILE_UNREADABLE', message, `${remedy} Name its path with --${what}.`, { path }, error);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = `the ${what} file ${path} is not JSON: ${(error as Error).message}`;
    throw new SquadError('FILE_NOT_JSON', message, remedy, { path }, error);
  }
}

/** One by one: the recursive mkdir of Node never ends where a parent exists and the system says it does not, as in /proc. */
async function makeDataDirectory(directory: string): Promise<void> {
  const missing: string[] = [];
  for (let at = resolve(directory); !existsSync(at) && dirname(at) !== at; at = dirname(at)) missing.unshift(at);
  try {
    for (const path of missing) await mkdir(path, { mode: 0o700 });
    // The slash: of a file, it says that it is no folder.
    await access(`${directory}/`, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new SquadError(
      'FOLDER_UNUSABLE',
      `the data directory ${directory} cannot be used: ${(error as Error).message}`,
      'Name a folder that this user may read and write, or that can be made, with --data-directory.',
      { directory },
      error,
    );
  }
}

/** The derived data do not name their network themselves, and blocks of another one would only fail to link. */
async function guardNetwork(directory: string, networkId: Bytes32): Promise<void> {
  const path = join(directory, 'network-id');
  const expected = toHex(networkId);
  if (!existsSync(path)) {
    await writeFile(path, `${expected}\n`, { flush: true });
    return;
  }
  const found = (await readFile(path, 'utf8')).trim();
  if (found === expected) return;
  throw new SquadError(
    'DATA_OF_OTHER_NETWORK',
    `the data directory ${directory} belongs to network ${found}, the genesis file to ${expected}`,
    'Give the right genesis file, or another data directory.',
    { directory, found, expected },
  );
}

async function readOrMakeNodeKey({ nodeKey, dataDirectory }: RollupNodeOptions): Promise<NodeKey> {
  if (nodeKey !== undefined) return readNodeKeyFile(nodeKey);
  const path = join(dataDirectory, 'node-key.json');
  if (!existsSync(path)) await writeNodeKeyFile(path, createNodeKey(randomBytes(32)));
  return readNodeKeyFile(path);
}
