/** Reads a file that came from somebody else: never more of it than a limit. */

import { open } from 'node:fs/promises';

/** Bytes asked of the file at a time. */
const PIECE_BYTES = 64 * 1024;

/**
 * All bytes of a file; undefined if it has more than `maxBytes`. Its size alone does not tell: a device and a pipe have none,
 * and never end. Throws what the file system says.
 */
export async function readBoundedFile(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  const file = await open(path, 'r');
  try {
    if ((await file.stat()).size > maxBytes) return undefined;
    const pieces: Uint8Array[] = [];
    let size = 0;
    for (;;) {
      const { bytesRead, buffer } = await file.read(new Uint8Array(Math.min(PIECE_BYTES, maxBytes + 1 - size)));
      if (bytesRead === 0) return Buffer.concat(pieces);
      size += bytesRead;
      if (size > maxBytes) return undefined;
      pieces.push(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
