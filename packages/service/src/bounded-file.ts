/** Reads a file that came from somebody else: never more of it than a limit. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
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

/** As `readBoundedFile`, for who cannot wait: at the start of a process. */
export function readBoundedFileSync(path: string, maxBytes: number): Uint8Array | undefined {
  const file = openSync(path, 'r');
  try {
    if (fstatSync(file).size > maxBytes) return undefined;
    const pieces: Uint8Array[] = [];
    let size = 0;
    for (;;) {
      const buffer = new Uint8Array(Math.min(PIECE_BYTES, maxBytes + 1 - size));
      const bytesRead = readSync(file, buffer);
      if (bytesRead === 0) return Buffer.concat(pieces);
      size += bytesRead;
      if (size > maxBytes) return undefined;
      pieces.push(buffer.subarray(0, bytesRead));
    }
  } finally {
    closeSync(file);
  }
}

/** The text of a file, UTF-8. Throws what the file system says, or a `RangeError` that names the limit. */
export async function readBoundedText(path: string, maxBytes: number, limitName: string): Promise<string> {
  const bytes = await readBoundedFile(path, maxBytes);
  if (bytes) return new TextDecoder().decode(bytes);
  throw new RangeError(`it has more bytes than ${limitName} = ${maxBytes}`);
}
