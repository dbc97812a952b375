/** What storage does when the file system, the system's process table or LevelDB fails in ways that no real one does on demand. */

import { createHash } from 'node:crypto';
import type * as FileSystem from 'node:fs/promises';
import { readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type * as Level from 'classic-level';
import type { OpenOptions } from 'classic-level';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { lockFolder, openKeyValueStore, openLog } from '../src/index.ts';
import { collect, record, rejection, temporaryFolder } from './support.ts';

type Call = 'link' | 'readFile' | 'syncFolder' | 'openToRead' | 'levelOpen' | 'levelGet';

const faults = vi.hoisted(() => ({
  /** What happens before a call; it throws, or changes what the call will find. */
  before: {} as Partial<Record<Call, (path: string) => unknown>>,
}));

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof FileSystem>();
  return {
    ...real,
    link: async (from: string, to: string) => {
      await faults.before.link?.(to);
      return real.link(from, to);
    },
    readFile: async (path: string, encoding: 'utf8') => {
      await faults.before.readFile?.(path);
      return real.readFile(path, encoding);
    },
    open: async (path: string, flags: string) => {
      if (flags === 'r' && path.endsWith('.log')) await faults.before.openToRead?.(path);
      const handle = await real.open(path, flags);
      if (!(await handle.stat()).isDirectory()) return handle;
      const sync = handle.sync.bind(handle);
      handle.sync = async () => {
        await faults.before.syncFolder?.(path);
        await sync();
      };
      return handle;
    },
  };
});

vi.mock('classic-level', async (importOriginal) => {
  const real = await importOriginal<typeof Level>();
  return {
    ClassicLevel: class extends real.ClassicLevel<Uint8Array, Uint8Array> {
      // Not async itself: LevelDB opens by itself what was not told to open in the same run of code.
      override open(options: OpenOptions = {}): Promise<void> {
        const before = faults.before.levelOpen;
        return before === undefined
          ? super.open(options)
          : Promise.resolve(this.location)
              .then(before)
              .then(() => {});
      }

      override async get(key: Uint8Array): Promise<Uint8Array | undefined> {
        await faults.before.levelGet?.(this.location);
        return super.get(key);
      }
    },
  };
});

afterEach(() => {
  faults.before = {};
  vi.restoreAllMocks();
});

const failure = (code: string) => Object.assign(new Error(`failed with ${code}`), { code });
const failing = (code: string) => () => {
  throw failure(code);
};

/** A lock that nobody holds: no process has its id. */
const STALE = '{"pid":2147483646,"startedAt":""}';
const rightTo = (content: string) => `LOCK.${createHash('sha256').update(content).digest('hex').slice(0, 16)}`;

async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await temporaryFolder();
  for (const [file, content] of Object.entries(files)) await writeFile(join(folder, file), content);
  return folder;
}

describe('the lock of a folder', () => {
  it('is taken over though a process died in the midst of taking it over', async () => {
    const folder = await folderWith({ LOCK: STALE, [rightTo(STALE)]: STALE });
    const lock = await lockFolder(folder);
    expect(await readdir(folder)).toEqual(['LOCK']);
    await lock.release();
    expect(await readdir(folder)).toEqual([]);
  });

  it('is left to a living process that is taking it over', async () => {
    const rival = JSON.stringify({ pid: process.ppid, startedAt: '' });
    const folder = await folderWith({ LOCK: STALE, [rightTo(STALE)]: rival });
    expect((await rejection(lockFolder(folder), 'FOLDER_LOCKED')).data.pid).toBe(process.ppid);
    expect((await readdir(folder)).sort()).toEqual(['LOCK', rightTo(STALE)]);
  });

  it('is not torn from a process that took it over between two looks', async () => {
    const folder = await folderWith({ LOCK: STALE });
    const quick = JSON.stringify({ pid: process.ppid, startedAt: '' });
    faults.before.link = async (to) => {
      if (to.endsWith(rightTo(STALE))) await writeFile(join(folder, 'LOCK'), quick);
    };
    expect((await rejection(lockFolder(folder), 'FOLDER_LOCKED')).data.pid).toBe(process.ppid);
    expect(await readFile(join(folder, 'LOCK'), 'utf8')).toBe(quick);
    expect(await readdir(folder)).toEqual(['LOCK']);
  });

  it.each(['LOCK', rightTo(STALE)])('is given up on if %s comes and goes at every look', async (file) => {
    const folder = await folderWith(file === 'LOCK' ? {} : { LOCK: STALE });
    // A link to nowhere: there when it is to be made, and gone when it is to be read.
    await symlink(join(folder, 'nowhere'), join(folder, file));
    const before = (await readdir(folder)).sort();
    const { data } = await rejection(lockFolder(folder), 'FOLDER_UNUSABLE');
    expect(data.reason).toBe('Error: other processes keep taking its lock');
    expect((await readdir(folder)).sort()).toEqual(before);
  });

  it('says why, where the file system has no hard links', async () => {
    const folder = await temporaryFolder();
    faults.before.link = failing('EPERM');
    expect((await rejection(lockFolder(folder), 'FOLDER_UNUSABLE')).data.reason).toBe('EPERM');
    expect(await readdir(folder)).toEqual([]);
  });

  it('is respected if the process belongs to another user, or the system does not tell when one has started', async () => {
    const owner = { pid: process.ppid, startedAt: 'another' };
    const folder = await folderWith({ LOCK: JSON.stringify(owner) });
    faults.before.readFile = (path) => {
      if (path.startsWith('/proc/')) throw failure('ENOENT');
    };
    await rejection(lockFolder(folder), 'FOLDER_LOCKED');
    vi.spyOn(process, 'kill').mockImplementation(failing('EPERM'));
    expect((await rejection(lockFolder(folder), 'FOLDER_LOCKED')).data.pid).toBe(owner.pid);
  });

  it('names its process alone where the system does not tell when it has started', async () => {
    const folder = await temporaryFolder();
    faults.before.readFile = (path) => {
      if (path.startsWith('/proc/')) throw failure('ENOENT');
    };
    const lock = await lockFolder(folder);
    const { pid, startedAt } = JSON.parse(await readFile(join(folder, 'LOCK'), 'utf8')) as Record<string, unknown>;
    expect([pid, startedAt]).toEqual([process.pid, '']);
    await lock.release();
  });
});

describe('a log', () => {
  it.each(['EINVAL', 'ENOTSUP'])('does without the sync of a folder that answers %s', async (code) => {
    const directory = join(await temporaryFolder(), 'deep', 'log');
    faults.before.syncFolder = failing(code);
    const log = await openLog({ directory });
    const [position] = log.append([record(1, 9)]);
    await log.sync();
    expect(await log.read(position!)).toEqual(record(1, 9));
    await log.close();
  });

  it('does not begin in a folder that cannot be made durable', async () => {
    const directory = join(await temporaryFolder(), 'deep', 'log');
    faults.before.syncFolder = failing('EIO');
    expect((await rejection(openLog({ directory }), 'FOLDER_UNUSABLE')).data.reason).toBe('EIO');
  });

  it('whose file cannot be opened to be read says so, and can be read once it can', async () => {
    const log = await openLog({ directory: await temporaryFolder() });
    const [position] = log.append([record(1, 9)]);
    faults.before.openToRead = failing('EMFILE');
    expect((await rejection(log.read(position!), 'FOLDER_UNUSABLE')).data.reason).toBe('EMFILE');
    await rejection(collect(log.replay(0)), 'FOLDER_UNUSABLE');
    faults.before = {};
    expect(await log.read(position!)).toEqual(record(1, 9));
    await log.close();
  });
});

describe('the index on disk', () => {
  const openError = (cause?: unknown) => () => {
    throw Object.assign(new Error('Database failed to open', cause === undefined ? {} : { cause }), {
      code: 'LEVEL_DATABASE_NOT_OPEN',
    });
  };
  it.each([
    ['KEY_VALUE_CORRUPT', 'Database failed to open', openError()],
    ['KEY_VALUE_CORRUPT', 'no text', openError('no text')],
    [
      'KEY_VALUE_CORRUPT',
      '/x: No such file',
      openError(Object.assign(new Error('/x: No such file'), { code: 'LEVEL_IO_ERROR' })),
    ],
    ['FOLDER_UNUSABLE', 'LEVEL_IO_ERROR', openError({ code: 'LEVEL_IO_ERROR' })],
    ['FOLDER_UNUSABLE', 'LEVEL_IO_ERROR', openError(failure('LEVEL_IO_ERROR'))],
  ])('that does not open is %s (%s)', async (code, text, before) => {
    faults.before.levelOpen = before;
    const error = await rejection(openKeyValueStore({ directory: await temporaryFolder() }), code);
    expect(error.message).toContain(text);
    // An older copy of the folder would let a validator sign against itself.
    if (code === 'KEY_VALUE_CORRUPT') expect(error.remedy).toMatch(/pruned.*start with an empty one.*once an epoch/s);
  });

  it('that is opened twice is locked', async () => {
    const directory = await temporaryFolder();
    const store = await openKeyValueStore({ directory });
    expect((await rejection(openKeyValueStore({ directory }), 'KEY_VALUE_LOCKED')).data.directory).toBe(directory);
    await store.close();
  });

  it.each([
    ['KEY_VALUE_CORRUPT', 'LEVEL_CORRUPTION'],
    ['FOLDER_UNUSABLE', 'LEVEL_IO_ERROR'],
    ['KEY_VALUE_CLOSED', 'LEVEL_DATABASE_NOT_OPEN'],
    ['KEY_VALUE_CLOSED', 'LEVEL_ITERATOR_NOT_OPEN'],
  ])("answers %s to LevelDB's %s, and goes on if it can", async (code, levelCode) => {
    const store = await openKeyValueStore({ directory: await temporaryFolder() });
    await store.write([[Uint8Array.of(1), Uint8Array.of(2)]]);
    faults.before.levelGet = failing(levelCode);
    await rejection(store.get(Uint8Array.of(1)), code);
    faults.before = {};
    expect(await store.get(Uint8Array.of(1))).toEqual(Uint8Array.of(2));
    await store.close();
  });

  it('hands on an error that it does not know', async () => {
    const store = await openKeyValueStore({ directory: await temporaryFolder() });
    faults.before.levelGet = failing('LEVEL_SOMETHING_NEW');
    await expect(store.get(Uint8Array.of(1))).rejects.toThrow('failed with LEVEL_SOMETHING_NEW');
    await store.close();
  });
});
