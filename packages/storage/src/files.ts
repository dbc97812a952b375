/** Folder work that must survive a crash: a new name in a folder is durable only once the folder itself is synced. */

import { mkdir, open, rename } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { folderUnusable, systemCode } from './errors.ts';

export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems do not sync folders; they have nothing to sync then.
    if (systemCode(error) !== 'EINVAL' && systemCode(error) !== 'ENOTSUP') throw error;
  } finally {
    await handle.close();
  }
}

/** Creates the folder and those above it, durably. */
export async function ensureDirectory(directory: string): Promise<void> {
  try {
    const first = await mkdir(directory, { recursive: true });
    if (first === undefined) return;
    for (let path = resolve(directory); path !== dirname(resolve(first)); path = dirname(path)) {
      await syncDirectory(dirname(path));
    }
  } catch (error) {
    throw folderUnusable(directory, error);
  }
}

/** Writes a small file whole or not at all. */
export async function writeFileDurably(path: string, content: string): Promise<void> {
  const temporary = `${path}.${process.pid}.new`;
  const handle = await open(temporary, 'w');
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}
