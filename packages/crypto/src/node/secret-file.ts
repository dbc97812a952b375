/** Files that hold secrets: created for their owner only, never overwritten. */

import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { SquadError } from '@squad/types';

/** Only the owner reads and writes. */
export const SECRET_FILE_MODE = 0o600;
/** Bytes of a key file; a keystore has about 900. */
export const MAX_SECRET_FILE_BYTES = 16 * 1024;

/** Throws `SECRET_FILE_EXISTS` rather than replace a key, and `SECRET_FILE_UNWRITABLE`. On disk when it returns. */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  try {
    const file = await open(path, 'wx', SECRET_FILE_MODE);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new SquadError(
        'SECRET_FILE_EXISTS',
        `${path} exists, and a key file is never overwritten`,
        'Move the old file away if its key is really not needed any more, or give another path.',
        { path },
        error,
      );
    }
    throw new SquadError(
      'SECRET_FILE_UNWRITABLE',
      `${path} could not be written: ${(error as Error).message}`,
      'Create its folder, and check that this user may write there and that the disk is not full.',
      { path },
      error,
    );
  }
}

/** Throws `SECRET_FILE_UNREADABLE`, and `SECRET_FILE_INVALID` if it is too large or not JSON. */
export async function readSecretFile(path: string): Promise<unknown> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    // One byte more than the limit at most, whatever the file says its size is: a device has none, and never ends.
    for await (const piece of createReadStream(path, { end: MAX_SECRET_FILE_BYTES })) {
      pieces.push(piece);
      size += piece.length;
    }
  } catch (error) {
    throw new SquadError(
      'SECRET_FILE_UNREADABLE',
      `${path} could not be read: ${(error as Error).message}`,
      'Check the path in the configuration, and that the file belongs to the user that runs the node.',
      { path },
      error,
    );
  }
  if (size > MAX_SECRET_FILE_BYTES) {
    throw invalidFile(path, `it has more bytes than MAX_SECRET_FILE_BYTES = ${MAX_SECRET_FILE_BYTES}`);
  }
  try {
    return JSON.parse(Buffer.concat(pieces).toString('utf8'));
  } catch (error) {
    throw invalidFile(path, 'it is not JSON', error);
  }
}

function invalidFile(path: string, reason: string, cause?: unknown): SquadError {
  return new SquadError(
    'SECRET_FILE_INVALID',
    `${path} is not a key file: ${reason}`,
    'Restore it from its backup; the path may also name the wrong file.',
    { path },
    cause,
  );
}
