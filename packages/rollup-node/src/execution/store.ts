/**
 * What a rollup node keeps on disk: one key-value store, written only by `commit`, in one atomic batch that is synced
 * before it resolves. So a crash at any moment leaves the result of the last commit, whole.
 *
 * Reads are synchronous: a value of a few hundred bytes, most often from the store's cache, is quicker to get than to wait for.
 */

import { type Bytes32, concatBytes, equalBytes, SquadError, toHex } from '@squad/types';
import { ClassicLevel } from 'classic-level';

/** Bytes of the store's read cache. */
export const STORE_CACHE_BYTES: number = 64 * 1024 * 1024;
/** Layout of the stored records; another layout is refused. */
const STORE_VERSION = 1;

/** The first byte of a key: which kind of record it is. */
export const TABLES = {
  meta: 0x6d, // m: single records
  header: 0x68, // h + block number
  body: 0x62, // b + block number
  receipts: 0x72, // r + block number
  numberByHash: 0x6e, // n + block hash
  transaction: 0x78, // x + transaction hash
  node: 0x73, // s + trie node hash
  code: 0x63, // c + code hash
  entry: 0x6c, // l + ledger key
} as const;
export type Table = keyof typeof TABLES;

export type StoreEntry = readonly [table: Table, key: Uint8Array, value: Uint8Array | undefined];

const IDENTITY = new TextEncoder().encode('identity');

export class RollupStore {
  readonly #level: ClassicLevel<Uint8Array, Uint8Array>;

  private constructor(level: ClassicLevel<Uint8Array, Uint8Array>) {
    this.#level = level;
  }

  /** `identity`: the hash of the rollup file; data of another rollup in the directory is refused. */
  static async open(directory: string, identity: Bytes32): Promise<RollupStore> {
    const level = new ClassicLevel<Uint8Array, Uint8Array>(directory, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      cacheSize: STORE_CACHE_BYTES,
    });
    try {
      await level.open();
    } catch (error) {
      throw openError(directory, error);
    }
    const store = new RollupStore(level);
    const expected = concatBytes(Uint8Array.of(STORE_VERSION), identity);
    const found = store.get('meta', IDENTITY);
    if (found === undefined) {
      await store.commit([['meta', IDENTITY, expected]]);
    } else if (!equalBytes(found, expected)) {
      await level.close();
      throw new SquadError(
        'ROLLUP_STORE_MISMATCH',
        `the data directory ${directory} belongs to another rollup file or version (${toHex(found)}, not ${toHex(expected)})`,
        'Use the rollup file (and --block-time, if given) that this directory was made with, or another directory.',
        { directory },
      );
    }
    return store;
  }

  /** Throws SquadError `ROLLUP_STORE_READ` if the store cannot tell: never mistake that for a property of what was asked. */
  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    try {
      return this.#level.getSync(storeKey(table, key));
    } catch (error) {
      throw new SquadError(
        'ROLLUP_STORE_READ',
        `the rollup store cannot be read: ${error instanceof Error ? error.message : String(error)}`,
        'If the node is not just stopping, check the disk; a damaged data directory can be deleted: the node derives it again.',
        { table },
        error,
      );
    }
  }

  /** All entries survive a crash once this resolves, or none does if it rejects. */
  async commit(entries: readonly StoreEntry[]): Promise<void> {
    const batch = this.#level.batch();
    for (const [table, key, value] of entries) {
      if (value === undefined) batch.del(storeKey(table, key));
      else batch.put(storeKey(table, key), value);
    }
    await batch.write({ sync: true });
  }

  async close(): Promise<void> {
    await this.#level.close();
  }
}

/** A number as 8 bytes, big-endian: sorts as the number does. */
export function numberKey(number: number): Uint8Array {
  const key = new Uint8Array(8);
  new DataView(key.buffer).setBigUint64(0, BigInt(number));
  return key;
}

function storeKey(table: Table, key: Uint8Array): Uint8Array {
  const out = new Uint8Array(1 + key.length);
  out[0] = TABLES[table];
  out.set(key, 1);
  return out;
}

function openError(directory: string, error: unknown): SquadError {
  const cause = error instanceof Error ? error.cause : undefined;
  const locked = cause instanceof Error && 'code' in cause && cause.code === 'LEVEL_LOCKED';
  return new SquadError(
    locked ? 'ROLLUP_STORE_LOCKED' : 'ROLLUP_STORE_UNREADABLE',
    locked
      ? `the data directory ${directory} is in use by another process`
      : `the data directory ${directory} cannot be opened: ${cause instanceof Error ? cause.message : String(error)}`,
    locked
      ? 'Stop the other rollup node, or give this one a directory of its own.'
      : 'Check that the directory is writable and the disk is whole; if it is damaged, delete it: the node derives it again.',
    { directory },
    error,
  );
}
