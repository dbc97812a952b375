/**
 * Opening a node's data folder:
 *
 *   STORE.json   schema version and network id, written once
 *   log/         the truth
 *   index/       derived from it, but for the meta values
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bytes32, type SquadError, toHex } from '@squad/types';
import type { NodeStore } from '../api.ts';
import { folderUnusable, storeIdentity, storeNetwork, storeVersion, systemCode } from '../errors.ts';
import { ensureDirectory, writeFileDurably } from '../files.ts';
import { openKeyValueStore } from '../key-value/level.ts';
import { MemoryKeyValueStore } from '../key-value/memory.ts';
import { type DiskLog, type LogFileCalls, openLog } from '../log/disk-log.ts';
import { MemoryLog } from '../log/memory-log.ts';
import type { TornTail } from '../log/recover.ts';
import { SEGMENT_HEADER_BYTES } from '../log/segment.ts';
import { createNodeStore } from './node-store.ts';

/** Version of the folder's layout and of all encodings in it. */
export const STORE_SCHEMA_VERSION = 1;

export interface NodeStoreOptions {
  readonly directory: string;
  readonly networkId: Bytes32;
  /** Bytes of batches to keep in memory. Default `BATCH_CACHE_BYTES`. */
  readonly batchCacheBytes?: number;
  /** Bytes of a log segment, the unit of pruning. Default `SEGMENT_BYTES`. */
  readonly segmentBytes?: number;
  /** Checks the whole log when opening, not its last segment only. */
  readonly verifyAll?: boolean;
  readonly onTornTail?: (tail: TornTail) => void;
  /** Told once when the log cannot be written any more: the node must stop. */
  readonly onFailure?: (error: SquadError) => void;
  readonly calls?: LogFileCalls;
}

/**
 * Opens or creates a node's data folder. Throws SquadErrors: `STORE_NETWORK`, `STORE_VERSION`, `STORE_IDENTITY`,
 * `STORE_LOG_LOST`, `STORE_LOG_SHORT`, `STORE_INDEX_LOST`, and those of `openLog` and `openKeyValueStore`.
 */
export async function openNodeStore(options: NodeStoreOptions): Promise<NodeStore> {
  const { directory, networkId, batchCacheBytes, ...logOptions } = options;
  await ensureDirectory(directory);
  const identityFile = join(directory, 'STORE.json');
  // Before the log is touched: a newer version may have changed even that.
  const isKnown = await checkIdentity(identityFile, networkId);
  // The identity is written once the log has begun: a validator whose log is gone would forget its votes and vote again.
  const log = await openLog({ ...logOptions, directory: join(directory, 'log'), mustExist: isKnown });
  try {
    await ensureIdentity(identityFile, networkId, log);
    const keyValueStore = await openKeyValueStore({ directory: join(directory, 'index') });
    try {
      return await createNodeStore({
        log,
        keyValueStore,
        ...(batchCacheBytes === undefined ? {} : { batchCacheBytes }),
      });
    } catch (error) {
      await keyValueStore.close();
      throw error;
    }
  } catch (error) {
    await log.close();
    throw error;
  }
}

/** A store that is gone with the process. Hand in parts to crash them: see `MemoryLog.crash`. */
export async function openMemoryNodeStore(
  parts: {
    readonly log?: MemoryLog;
    readonly keyValueStore?: MemoryKeyValueStore;
    readonly batchCacheBytes?: number;
  } = {},
): Promise<NodeStore> {
  return createNodeStore({ log: new MemoryLog(), keyValueStore: new MemoryKeyValueStore(), ...parts });
}

/** True if the file is there and fits. */
async function checkIdentity(file: string, networkId: Bytes32): Promise<boolean> {
  const content = await readIdentity(file);
  if (content === undefined) return false;
  const identity = parseIdentity(file, content);
  if (identity.schemaVersion > STORE_SCHEMA_VERSION)
    throw storeVersion(file, identity.schemaVersion, STORE_SCHEMA_VERSION);
  const expected = toHex(networkId);
  if (identity.networkId !== expected) throw storeNetwork(file, identity.networkId, expected);
  return true;
}

async function readIdentity(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw folderUnusable(file, error);
  }
}

function parseIdentity(file: string, content: string): { schemaVersion: number; networkId: string } {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    throw storeIdentity(file, 'is not JSON');
  }
  if (typeof value !== 'object' || value === null) throw storeIdentity(file, 'is not a JSON object');
  const { schemaVersion, networkId } = value as Record<string, unknown>;
  if (typeof schemaVersion !== 'number' || !Number.isInteger(schemaVersion) || schemaVersion < 1) {
    throw storeIdentity(file, 'has no positive integer "schemaVersion"');
  }
  if (typeof networkId !== 'string') throw storeIdentity(file, 'has no "networkId"');
  return { schemaVersion, networkId };
}

async function ensureIdentity(file: string, networkId: Bytes32, log: DiskLog): Promise<void> {
  if (await checkIdentity(file, networkId)) return;
  if (log.end > SEGMENT_HEADER_BYTES) throw storeIdentity(file, 'is missing, though there is a log beside it');
  const identity = { schemaVersion: STORE_SCHEMA_VERSION, networkId: toHex(networkId) };
  await writeFileDurably(file, `${JSON.stringify(identity, undefined, 2)}\n`);
}
