/**
 * One launcher at a time in one folder. The lock file holds the launcher's process id; a lock whose process is gone (it
 * was killed) is taken over.
 */

import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { SquadError } from '@squad/types';
import { pathsOf } from './layout.ts';

export interface DirectoryLock {
  release(): void;
}

/** Throws a SquadError `TESTNET_RUNNING` if another process holds the folder. The folder must exist. */
export function lockDirectory(directory: string): DirectoryLock {
  const { lockPath } = pathsOf(directory);
  for (let attempt = 0; attempt < 3; attempt++) {
    if (createWhole(lockPath, lockText(process.pid))) return { release: () => rmSync(lockPath, { force: true }) };
    const holder = readHolder(lockPath);
    if (holder !== undefined) {
      throw new SquadError(
        'TESTNET_RUNNING',
        `a testnet already runs in ${directory} (process ${holder})`,
        `Stop it first (Ctrl-C there, or: kill ${holder}), or start another one with --dir OTHER and --free-ports.`,
        { pid: holder },
      );
    }
    rmSync(lockPath, { force: true });
  }
  throw new SquadError(
    'TESTNET_RUNNING',
    `the lock of ${directory} changes hands all the time`,
    'Several launchers start in this folder at once; start only one.',
  );
}

/** Creates the file with its content in one step, so that no one reads half a lock. False if there is one. */
function createWhole(path: string, text: string): boolean {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, text);
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function lockText(pid: number): string {
  return `${JSON.stringify({ pid, startedAt: startOf(pid) })}\n`;
}

/** The live process that holds the lock, or undefined if there is none. */
function readHolder(lockPath: string): number | undefined {
  try {
    const { pid, startedAt } = JSON.parse(readFileSync(lockPath, 'utf8')) as { pid: number; startedAt: string };
    return isAlive(pid) && startOf(pid) === startedAt ? pid : undefined;
  } catch {
    return undefined;
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Process ids are used again; together with the start time (Linux only, elsewhere empty) they are not. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
