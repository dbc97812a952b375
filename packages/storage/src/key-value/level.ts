/** The key-value store on disk: LevelDB through classic-level. LevelDB takes a lock of the operating system on the folder. */

import { ClassicLevel } from 'classic-level';
import type { KeyRange, KeyValueEntry, KeyValueStore } from '../api.ts';
import { folderUnusable, keyValueClosed, keyValueCorrupt, keyValueLocked, systemCode } from '../errors.ts';
import { ensureDirectory } from '../files.ts';

export interface KeyValueStoreOptions {
  readonly directory: string;
  /** Bytes of blocks that LevelDB keeps in memory. */
  readonly cacheBytes?: number;
}

const DEFAULT_CACHE_BYTES = 16 * 1024 * 1024;

/** Throws SquadErrors: `KEY_VALUE_LOCKED`, `KEY_VALUE_CORRUPT`, `FOLDER_UNUSABLE`. */
export async function openKeyValueStore(options: KeyValueStoreOptions): Promise<KeyValueStore> {
  await ensureDirectory(options.directory);
  const level = new ClassicLevel<Uint8Array, Uint8Array>(options.directory, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    cacheSize: options.cacheBytes ?? DEFAULT_CACHE_BYTES,
  });
  try {
    await level.open();
  } catch (error) {
    throw openError(options.directory, error);
  }
  return new LevelKeyValueStore(options.directory, level);
}

function openError(directory: string, error: unknown): Error {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  switch (systemCode(cause)) {
    case 'LEVEL_LOCKED':
      return keyValueLocked(directory, cause);
    case 'LEVEL_IO_ERROR': {
      // A file of its own that is gone is damage; a folder that cannot be used is the operator's to mend.
      const isMissingFile = /no such file/i.test(cause instanceof Error ? cause.message : String(cause));
      return isMissingFile ? keyValueCorrupt(directory, cause) : folderUnusable(directory, cause);
    }
    default:
      return keyValueCorrupt(directory, cause);
  }
}

class LevelKeyValueStore implements KeyValueStore {
  readonly #directory: string;
  readonly #level: ClassicLevel<Uint8Array, Uint8Array>;

  constructor(directory: string, level: ClassicLevel<Uint8Array, Uint8Array>) {
    this.#directory = directory;
    this.#level = level;
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const value = await this.#guarded(() => this.#level.get(key));
    return value === undefined ? undefined : plain(value);
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const values = await this.#guarded(() => this.#level.getMany(keys as Uint8Array[]));
    return values.map((value) => (value === undefined ? undefined : plain(value)));
  }

  async write(entries: readonly KeyValueEntry[], options: { readonly sync?: boolean } = {}): Promise<void> {
    const operations = entries.map(([key, value]) =>
      value === undefined ? ({ type: 'del', key } as const) : ({ type: 'put', key, value } as const),
    );
    await this.#guarded(() => this.#level.batch(operations, { sync: options.sync ?? false }));
  }

  async *range(options: KeyRange): AsyncIterable<readonly [Uint8Array, Uint8Array]> {
    const iterator = await this.#guarded(async () => this.#level.iterator({ ...options }));
    try {
      for (;;) {
        const pairs = await this.#guarded(() => iterator.nextv(1000));
        if (pairs.length === 0) return;
        for (const [key, value] of pairs) yield [plain(key), plain(value)] as const;
      }
    } finally {
      await iterator.close();
    }
  }

  async close(): Promise<void> {
    await this.#level.close();
  }

  async #guarded<T>(run: () => Promise<T>): Promise<T> {
    if (this.#level.status !== 'open') throw keyValueClosed(this.#directory);
    try {
      return await run();
    } catch (error) {
      const code = systemCode(error);
      if (code === 'LEVEL_CORRUPTION') throw keyValueCorrupt(this.#directory, error);
      if (code === 'LEVEL_IO_ERROR') throw folderUnusable(this.#directory, error);
      if (code === 'LEVEL_DATABASE_NOT_OPEN' || code === 'LEVEL_ITERATOR_NOT_OPEN')
        throw keyValueClosed(this.#directory);
      throw error;
    }
  }
}

/** LevelDB gives Buffers, whose `slice` shares memory where that of other arrays copies. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
