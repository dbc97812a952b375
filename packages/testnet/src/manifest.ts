/**
 * What makes a folder a testnet: `manifest.json`. It is written once, when the testnet is made, and says how many nodes it
 * has and from which seed all their keys come. Only a folder that holds one is ever deleted.
 */

import { randomBytes } from 'node:crypto';
import { constants, existsSync, readdirSync } from 'node:fs';
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { BlockTimeMs, DEFAULT_BLOCK_TIME_MS } from '@squad/rollup-node/options';
import { GenesisL1, isHex, SquadError, toHex } from '@squad/types';
import { z } from 'zod';
import { pathsOf, sequencerNames } from './layout.ts';

/** Sequencers of one testnet: 1, or enough to bear a faulty one. */
export const MIN_TESTNET_SEQUENCERS = 4;
export const MAX_TESTNET_SEQUENCERS = 16;
/** Rollups of one testnet, each with a node of its own. */
export const MAX_TESTNET_ROLLUPS = 16;
/** Rollup ids, which are chain ids, count up from here. */
export const FIRST_ROLLUP_ID = 901;

/** Who validates from which epoch on, by the number of the sequencer; the first entry is of epoch 0. */
const Epochs = z.strictObject({
  lengthBlocks: z.int().min(16),
  sets: z
    .array(
      z.strictObject({
        fromEpoch: z.int().min(0),
        members: z.array(z.strictObject({ sequencer: z.int().min(0), weight: z.int().min(1).default(1) })).min(1),
      }),
    )
    .min(1),
});
export type TestnetEpochs = z.input<typeof Epochs>;

const Manifest = z.strictObject({
  kind: z.literal('squad-testnet'),
  version: z.literal(1),
  /** 32 random bytes; every key of the testnet is derived from them. */
  seed: z.string().refine((value) => isHex(value, 32), { error: 'expected 0x and 64 hex digits' }),
  createdAtMs: z.int().min(0),
  sequencers: z.int().min(1).max(MAX_TESTNET_SEQUENCERS),
  rollups: z.int().min(1).max(MAX_TESTNET_ROLLUPS),
  /** Opaque rollups have no node of their own here. */
  rollupKind: z.enum(['evm', 'opaque']).default('evm'),
  /** Opaque rollups beside those: ordered, for nodes that are started by hand. */
  opaqueRollups: z.int().min(0).max(MAX_TESTNET_ROLLUPS).default(0),
  /** Of every rollup. */
  blockTimeMs: BlockTimeMs.default(DEFAULT_BLOCK_TIME_MS),
  /** Absent: all sequencers validate, in an epoch that does not end. */
  epochs: Epochs.optional(),
  /** Absent: it follows none. */
  l1: GenesisL1.optional(),
});
export type Manifest = z.infer<typeof Manifest>;

/** Checks the counts a person asked for. Throws a SquadError `TESTNET_SIZE`. */
export function checkCounts(sequencers: number, rollups: number): void {
  const sequencersFit =
    sequencers === 1 || (sequencers >= MIN_TESTNET_SEQUENCERS && sequencers <= MAX_TESTNET_SEQUENCERS);
  if (!Number.isInteger(sequencers) || !sequencersFit) {
    throw new SquadError(
      'TESTNET_SIZE',
      `--nodes ${sequencers}: a testnet has 1 sequencer, or ${MIN_TESTNET_SEQUENCERS} to ${MAX_TESTNET_SEQUENCERS}`,
      `Choose 1 (no fault is borne), ${MIN_TESTNET_SEQUENCERS} (one fault) or more; 2 and 3 bear no more faults than 1.`,
    );
  }
  if (!Number.isInteger(rollups) || rollups < 1 || rollups > MAX_TESTNET_ROLLUPS) {
    throw new SquadError(
      'TESTNET_SIZE',
      `--rollups ${rollups}: a testnet has 1 to ${MAX_TESTNET_ROLLUPS} rollups`,
      `Choose a number from 1 to ${MAX_TESTNET_ROLLUPS}.`,
    );
  }
}

export interface OpenedManifest {
  readonly manifest: Manifest;
  /** True if it was made now, false if it was there. */
  readonly created: boolean;
}

/**
 * Opens the testnet folder, or makes it if there is none. A count left undefined is the folder's own, or the default.
 * Throws a SquadError: `TESTNET_FOLDER_FOREIGN` (holds something else), `TESTNET_FOLDER_CORRUPT`, `TESTNET_DIFFERS`.
 */
export async function openManifest(
  directory: string,
  asked: {
    readonly sequencers?: number | undefined;
    readonly rollups?: number | undefined;
    /** Of a new testnet; one that is there keeps its own. Default `evm`. */
    readonly rollupKind?: Manifest['rollupKind'] | undefined;
    readonly opaqueRollups?: number | undefined;
    readonly blockTimeMs?: number | undefined;
    readonly epochs?: TestnetEpochs | undefined;
    /** Reads the L1 of a new testnet. One that is there follows its own, or none. */
    readonly l1?: (() => Promise<GenesisL1>) | undefined;
  },
): Promise<OpenedManifest> {
  checkCounts(asked.sequencers ?? MIN_TESTNET_SEQUENCERS, asked.rollups ?? 1);
  const { manifestPath } = pathsOf(directory);
  if (!existsSync(manifestPath)) {
    checkFolder(directory);
    const manifest: Manifest = {
      kind: 'squad-testnet',
      version: 1,
      seed: toHex(randomBytes(32)),
      createdAtMs: Date.now(),
      sequencers: asked.sequencers ?? MIN_TESTNET_SEQUENCERS,
      rollups: asked.rollups ?? 1,
      rollupKind: asked.rollupKind ?? 'evm',
      opaqueRollups: asked.opaqueRollups ?? 0,
      blockTimeMs: asked.blockTimeMs ?? DEFAULT_BLOCK_TIME_MS,
      ...(asked.epochs ? { epochs: Epochs.parse(asked.epochs) } : {}),
      ...(asked.l1 ? { l1: await asked.l1() } : {}),
    };
    await makeDirectory(directory);
    await writeFile(manifestPath, `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600 });
    return { manifest, created: true };
  }
  const manifest = await readManifest(directory);
  for (const [flag, have, want] of [
    ['--nodes', manifest.sequencers, asked.sequencers],
    ['--rollups', manifest.rollups, asked.rollups],
    ['--opaque-rollups', manifest.opaqueRollups, asked.opaqueRollups],
    ['--block-time', manifest.blockTimeMs, asked.blockTimeMs],
  ] as const) {
    if (want === undefined || want === have) continue;
    throw new SquadError(
      'TESTNET_DIFFERS',
      `${flag} ${want}: the testnet in ${directory} has ${have}`,
      `Start it with ${flag} ${have}, begin anew with --reset (deletes its data), or choose another folder with --dir.`,
    );
  }
  if (asked.l1 && !manifest.l1) {
    throw new SquadError(
      'TESTNET_DIFFERS',
      `--l1-rpc: the testnet in ${directory} follows no L1`,
      'Start it without, begin anew with --reset (deletes its data), or choose another folder with --dir.',
    );
  }
  return { manifest, created: false };
}

async function readManifest(directory: string): Promise<Manifest> {
  const { manifestPath } = pathsOf(directory);
  let reason: string;
  try {
    const parsed = Manifest.safeParse(JSON.parse(await readFile(manifestPath, 'utf8')));
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0]!;
    reason = `${issue.path.join('.') || 'the whole file'}: ${issue.message}`;
  } catch (error) {
    reason = (error as Error).message;
  }
  throw new SquadError(
    'TESTNET_FOLDER_CORRUPT',
    `${manifestPath} cannot be read: ${reason}`,
    `Bring the file back from a copy, or choose another folder with --dir. If nothing in ${directory} is needed, delete the folder by hand.`,
  );
}

/**
 * Makes the folder and those above it. Throws `FOLDER_UNUSABLE` if it cannot be made or written to. One by one:
 * the recursive mkdir of Node never ends where a parent exists and the system says it does not, as in /proc.
 */
export async function makeDirectory(directory: string, mode = 0o777): Promise<void> {
  const missing: string[] = [];
  for (let at = resolve(directory); !existsSync(at) && dirname(at) !== at; at = dirname(at)) missing.unshift(at);
  try {
    for (const path of missing) await mkdir(path, { mode });
    await access(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw unusable(directory, error);
  }
}

function unusable(directory: string, error: unknown): SquadError {
  return new SquadError(
    'FOLDER_UNUSABLE',
    `the folder ${directory} cannot be used: ${(error as Error).message}`,
    'Choose a folder with --dir that this user may write to, or that can be made.',
    { directory },
    error,
  );
}

/** Throws `TESTNET_FOLDER_FOREIGN` if the folder holds files and none of them says that it is a testnet. */
export function checkFolder(directory: string): void {
  const { manifestPath, lockName } = pathsOf(directory);
  if (!existsSync(directory) || existsSync(manifestPath)) return;
  let files: string[];
  try {
    files = readdirSync(directory);
  } catch (error) {
    throw unusable(directory, error);
  }
  if (files.every((file) => file === lockName)) return;
  throw new SquadError(
    'TESTNET_FOLDER_FOREIGN',
    `${directory} holds files but no testnet (it has no manifest.json); SQUAD will neither use nor delete it`,
    'Choose an empty or a new folder with --dir.',
  );
}

/**
 * Deletes what a testnet made in its folder, and nothing else that is there. A folder without a manifest is refused with
 * `TESTNET_FOLDER_FOREIGN`: it may be anything; one whose manifest cannot be read with `TESTNET_FOLDER_CORRUPT`.
 */
export async function resetDirectory(directory: string): Promise<void> {
  checkFolder(directory);
  const paths = pathsOf(directory);
  if (!existsSync(paths.manifestPath)) return;
  const manifest = await readManifest(directory);
  const made = [...sequencerNames(manifest.sequencers), ...rollupNodeNames(manifest.rollups)].map(
    (name) => paths.process(name).folder,
  );
  // The manifest goes last: a deletion that was cut short can be asked for again.
  for (const path of [...made, paths.genesisPath, paths.statePath, paths.manifestPath]) {
    await rm(path, { recursive: true, force: true });
  }
}

export function rollupIds(count: number): number[] {
  return Array.from({ length: count }, (_, index) => FIRST_ROLLUP_ID + index);
}

export function rollupNodeNames(count: number): string[] {
  return rollupIds(count).map((id) => `rollup-${id}`);
}
