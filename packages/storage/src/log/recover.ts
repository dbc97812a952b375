/**
 * Opening a log's folder: which segments there are, whether they follow each other, and what to do about a bad end.
 *
 * A bad frame in the last segment with no whole frame after it is a write that a crash cut short: nothing in it was ever
 * reported durable, so it is cut off and reported. Anything else that is wrong is damage to what was durable, and stops.
 */

import { type FileHandle, open, readdir } from 'node:fs/promises';
import type { LogPosition } from '../api.ts';
import { logCorrupt, logVersion } from '../errors.ts';
import { syncDirectory } from '../files.ts';
import {
  createSegment,
  decodeSegmentHeader,
  findFrame,
  readFrame,
  readFully,
  SEGMENT_HEADER_BYTES,
  SEGMENT_VERSION,
  type Segment,
  segmentBaseOf,
  WindowReader,
} from './segment.ts';

/** What was cut off the end of the last segment when the log was opened. */
export interface TornTail {
  readonly file: string;
  /** Bytes of the file that were kept. */
  readonly offset: number;
  /** Bytes of it that were cut off. */
  readonly bytes: number;
}

export interface RecoveredLog {
  /** Ascending; empty for a new log, or if its only segment was never begun. */
  readonly segments: Segment[];
  readonly tornTail: TornTail | undefined;
  /** A last file whose header was never written whole: to be written anew with this base. */
  readonly unbegun: LogPosition | undefined;
}

export async function recoverLog(directory: string, verifyAll: boolean): Promise<RecoveredLog> {
  const bases = (await readdir(directory))
    .map(segmentBaseOf)
    .filter((base) => base !== undefined)
    .sort((a, b) => a - b);
  const segments: Segment[] = [];
  let tornTail: TornTail | undefined;
  let unbegun: LogPosition | undefined;
  for (const [index, base] of bases.entries()) {
    const isLast = index === bases.length - 1;
    const previous = segments.at(-1);
    if (previous !== undefined && previous.base + previous.byteLength !== base) throw gap(previous, base);
    const opened = await openSegment(directory, base, isLast);
    if (opened === undefined) {
      unbegun = base;
      break;
    }
    const { segment, handle } = opened;
    try {
      segments.push(segment);
      if (isLast || verifyAll) tornTail = await checkFrames(segment, handle, isLast);
    } finally {
      await handle.close();
    }
  }
  if (tornTail !== undefined) await syncDirectory(directory);
  return { segments, tornTail, unbegun };
}

function gap(previous: Segment, nextBase: LogPosition): Error {
  const expected = previous.base + previous.byteLength;
  return expected < nextBase
    ? logCorrupt(
        previous.path,
        previous.byteLength,
        `the file ends, but ${nextBase - expected} bytes follow before the next file`,
      )
    : logCorrupt(previous.path, nextBase - previous.base, 'the next file begins there, but this one goes on');
}

/** Undefined: the last file, and its header was never written whole. */
async function openSegment(
  directory: string,
  base: LogPosition,
  isLast: boolean,
): Promise<{ segment: Segment; handle: FileHandle } | undefined> {
  const path = createSegment(directory, base, new Uint8Array(8), 0).path;
  const handle = await open(path, 'r+');
  try {
    const { size } = await handle.stat();
    const header = decodeSegmentHeader(await readFully(handle, 0, Math.min(size, SEGMENT_HEADER_BYTES)));
    if (header.type === 'version') throw logVersion(path, header.version, SEGMENT_VERSION);
    if (header.type === 'header' && header.base === base) {
      return { segment: createSegment(directory, base, header.salt, size), handle };
    }
    // The header is made durable before the first frame is written, so only a file without frames can lack one.
    if (header.type === 'damaged' && isLast && size <= SEGMENT_HEADER_BYTES) {
      await handle.close();
      return undefined;
    }
    const fault =
      header.type === 'header' ? `its header says that it begins at ${header.base}` : 'its header is damaged';
    throw logCorrupt(path, 0, fault);
  } catch (error) {
    await handle.close().catch(() => undefined);
    throw error;
  }
}

/** Scans the whole segment. Cuts a torn tail off the last one. */
async function checkFrames(segment: Segment, handle: FileHandle, isLast: boolean): Promise<TornTail | undefined> {
  const reader = new WindowReader(handle, segment.byteLength);
  let offset = SEGMENT_HEADER_BYTES;
  while (offset < segment.byteLength) {
    const read = await readFrame(reader, segment, offset, 0);
    if (read.type === 'fault') {
      if (!isLast) throw logCorrupt(segment.path, offset, read.fault);
      return cutTail(segment, handle, offset, read.fault);
    }
    offset = read.endOffset;
  }
  return undefined;
}

async function cutTail(segment: Segment, handle: FileHandle, offset: number, fault: string): Promise<TornTail> {
  const next = await findFrame(handle, segment, offset + 1, segment.byteLength);
  if (next !== undefined) {
    throw logCorrupt(segment.path, offset, `${fault}, and a whole frame follows at offset ${next}`);
  }
  const bytes = segment.byteLength - offset;
  await handle.truncate(offset);
  await handle.sync();
  segment.byteLength = offset;
  return { file: segment.path, offset, bytes };
}
