/**
 * The lock of a folder: a file that names the process that uses it. Two processes on one folder would tear its log.
 *
 * The file appears whole (a hard link to a finished file), so it is never seen half-written. The lock of a dead process
 * is taken over: dead means that no process has its id, or that the one that has it started at another time. Processes
 * that do not see each other (containers that share a folder) are not kept apart by it.
 */

import { createHash, randomBytes } from 'node:crypto';
import { link, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { folderLocked, folderUnusable, systemCode } from './errors.ts';

const FILE_NAME = 'LOCK';
const MAX_ATTEMPTS = 16;

export interface FolderLock {
  release(): Promise<void>;
}

interface Owner {
  readonly pid: number;
  /** When the process started, in the terms of its system; empty where that is not known. */
  readonly startedAt: string;
}

/** Locks held by this very process, since its own id says nothing about which of its parts holds a lock. */
const heldHere = new Set<string>();

/** Throws a SquadError `FOLDER_LOCKED` that names the process if another one, or this one, uses the folder. */
export async function lockFolder(directory: string): Promise<FolderLock> {
  const path = join(await realpath(directory), FILE_NAME);
  if (heldHere.has(path)) throw folderLocked(path, process.pid);
  heldHere.add(path);
  try {
    await acquire(path);
  } catch (error) {
    heldHere.delete(path);
    throw error;
  }
  return {
    release: async () => {
      if (!heldHere.has(path)) return;
      await rm(path, { force: true });
      heldHere.delete(path);
    },
  };
}

async function acquire(path: string): Promise<void> {
  const own: Owner & { nonce: string } = {
    pid: process.pid,
    startedAt: (await startOf(process.pid)) ?? '',
    nonce: randomBytes(8).toString('hex'),
  };
  const draft = `${path}.${own.pid}.${own.nonce}`;
  try {
    await writeFile(draft, `${JSON.stringify(own)}\n`, { flag: 'wx' });
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (await tryLink(draft, path)) return;
      const content = await readIfThere(path);
      if (content === undefined) continue;
      await throwIfAlive(path, content);
      if (await takeOver(path, draft, content)) return;
    }
    throw new Error('other processes keep taking its lock');
  } catch (error) {
    if (systemCode(error) === 'FOLDER_LOCKED') throw error;
    throw folderUnusable(path, error);
  } finally {
    await rm(draft, { force: true });
  }
}

/**
 * Replaces the lock of a dead process. Only one process can hold the right to do so (a file named after the content that
 * is to be replaced), and it looks again first: else a slow one could replace the fresh lock of a quick one.
 */
async function takeOver(path: string, draft: string, staleContent: string): Promise<boolean> {
  const right = `${path}.${createHash('sha256').update(staleContent).digest('hex').slice(0, 16)}`;
  if (!(await tryLink(draft, right))) {
    const rival = await readIfThere(right);
    if (rival !== undefined) {
      await throwIfAlive(path, rival);
      await rm(right, { force: true });
    }
    return false;
  }
  try {
    if ((await readIfThere(path)) !== staleContent) return false;
    await rename(right, path);
    return true;
  } finally {
    await rm(right, { force: true });
  }
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function throwIfAlive(path: string, content: string): Promise<void> {
  const owner = parseOwner(content);
  if (owner !== undefined && (await isAlive(owner))) throw folderLocked(path, owner.pid);
}

/** Undefined for what is not a lock of this program: nobody can be holding it. */
function parseOwner(content: string): Owner | undefined {
  try {
    const value: unknown = JSON.parse(content);
    if (typeof value !== 'object' || value === null) return undefined;
    const { pid, startedAt } = value as Partial<Owner>;
    if (!Number.isInteger(pid) || pid! < 1 || pid! > 0x7fff_ffff || typeof startedAt !== 'string') return undefined;
    return { pid: pid!, startedAt };
  } catch {
    return undefined;
  }
}

async function isAlive(owner: Owner): Promise<boolean> {
  // This process does not hold it (see `heldHere`), so the id is that of an earlier one: in containers ids repeat.
  if (owner.pid === process.pid) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return false;
  }
  const startedAt = await startOf(owner.pid);
  return startedAt === undefined || owner.startedAt === '' || startedAt === owner.startedAt;
}

/** Boot and tick at which a process started, on Linux; undefined elsewhere. */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses, and may hold anything; the start is the 20th after it.
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return `${boot}:${ticks}`;
  } catch {
    return undefined;
  }
}
