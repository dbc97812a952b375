/**
 * One segment file of a log: its name, its header, and reading frames from it.
 *
 *   header = magic "SQUADLOG" | version u32 | base u64 | salt 8 bytes | CRC-32 of what is before it
 *
 * The file's name is its base: the position of its first byte in the whole log. The header counts in positions.
 */

import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { LogPosition, PositionedRecord } from '../api.ts';
import { MAX_FRAME_BYTES } from '../limits.ts';
import {
  type Checksum,
  createChecksum,
  decodeFrameHeader,
  decodeRecords,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC_BYTES,
  SALT_BYTES,
} from './frame.ts';

export const SEGMENT_VERSION = 1;
export const SEGMENT_HEADER_BYTES = 32;
const SEGMENT_MAGIC = new TextEncoder().encode('SQUADLOG');
const NAME = /^(\d{16})\.log$/;
const READ_AHEAD_BYTES = 1024 * 1024;

export interface Segment {
  readonly base: LogPosition;
  readonly path: string;
  readonly salt: Uint8Array;
  readonly checksum: Checksum;
  /** Bytes of the file, header included, queued writes included. */
  byteLength: number;
}

export function createSegment(directory: string, base: LogPosition, salt: Uint8Array, byteLength: number): Segment {
  const path = join(directory, `${String(base).padStart(16, '0')}.log`);
  return { base, path, salt, checksum: createChecksum(salt), byteLength };
}

export function segmentBaseOf(fileName: string): LogPosition | undefined {
  const match = NAME.exec(fileName);
  return match === null ? undefined : Number(match[1]);
}

export function encodeSegmentHeader(base: LogPosition, salt: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(SEGMENT_MAGIC);
  view.setUint32(8, SEGMENT_VERSION, true);
  view.setBigUint64(12, BigInt(base), true);
  bytes.set(salt, 20);
  view.setUint32(28, crc32(bytes.subarray(0, 28)), true);
  return bytes;
}

export type SegmentHeader =
  | { readonly type: 'header'; readonly base: LogPosition; readonly salt: Uint8Array }
  | { readonly type: 'version'; readonly version: number }
  | { readonly type: 'damaged' };

export function decodeSegmentHeader(bytes: Uint8Array | undefined): SegmentHeader {
  if (bytes === undefined || bytes.length < SEGMENT_HEADER_BYTES) return { type: 'damaged' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isWhole = view.getUint32(28, true) === crc32(bytes.subarray(0, 28));
  if (!isWhole || !SEGMENT_MAGIC.every((byte, i) => bytes[i] === byte)) return { type: 'damaged' };
  const version = view.getUint32(8, true);
  if (version !== SEGMENT_VERSION) return { type: 'version', version };
  return { type: 'header', base: Number(view.getBigUint64(12, true)), salt: bytes.slice(20, 20 + SALT_BYTES) };
}

/** Reads a file in long strides. The views that it gives out stay valid: a window is never overwritten. */
export class WindowReader {
  readonly #handle: FileHandle;
  readonly #end: number;
  readonly #readAheadBytes: number;
  #window: Uint8Array = new Uint8Array(0);
  #windowStart = 0;

  /** `end`: bytes of the file to look at. */
  constructor(handle: FileHandle, end: number, readAheadBytes: number = READ_AHEAD_BYTES) {
    this.#handle = handle;
    this.#end = end;
    this.#readAheadBytes = readAheadBytes;
  }

  /** The bytes from an offset on; undefined if the file does not have all of them. */
  async bytes(offset: number, length: number): Promise<Uint8Array | undefined> {
    if (offset + length > this.#end) return undefined;
    const isInside = offset >= this.#windowStart && offset + length <= this.#windowStart + this.#window.length;
    if (!isInside) {
      this.#window = await readFully(
        this.#handle,
        offset,
        Math.min(this.#end - offset, Math.max(length, this.#readAheadBytes)),
      );
      this.#windowStart = offset;
      if (this.#window.length < length) return undefined;
    }
    return this.#window.subarray(offset - this.#windowStart, offset - this.#windowStart + length);
  }
}

/** As many bytes as there are, up to `length`. */
export async function readFully(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) return bytes.subarray(0, filled);
    filled += bytesRead;
  }
  return bytes;
}

export type FrameRead =
  | { readonly type: 'frame'; readonly records: readonly PositionedRecord[]; readonly endOffset: number }
  | { readonly type: 'skipped'; readonly endOffset: number }
  | { readonly type: 'fault'; readonly fault: string };

/** Reads and checks the frame at an offset. Frames that end at or before `skipBefore` are passed over by their length. */
export async function readFrame(
  reader: WindowReader,
  segment: Segment,
  offset: number,
  skipBefore: LogPosition,
): Promise<FrameRead> {
  const head = await reader.bytes(offset, FRAME_HEADER_BYTES);
  if (head === undefined) return { type: 'fault', fault: 'the file ends within the header of a frame' };
  const header = decodeFrameHeader(segment.checksum, segment.base + offset, head);
  if (header === undefined) return { type: 'fault', fault: 'what stands there is not the header of a frame' };
  if (header.payloadBytes > MAX_FRAME_BYTES)
    return { type: 'fault', fault: 'the frame is longer than MAX_FRAME_BYTES' };
  const start = offset + FRAME_HEADER_BYTES;
  const endOffset = start + header.payloadBytes;
  if (segment.base + endOffset <= skipBefore) return { type: 'skipped', endOffset };
  const payload = await reader.bytes(start, header.payloadBytes);
  if (payload === undefined) return { type: 'fault', fault: 'the file ends within a frame' };
  const records = decodeRecords(segment.checksum, segment.base + start, payload, header.recordCount);
  if (records === undefined) return { type: 'fault', fault: 'a checksum in the frame is wrong' };
  return { type: 'frame', records, endOffset };
}

/** Offset of the first whole frame at or after an offset; undefined if there is none up to the end of the file. */
export async function findFrame(
  handle: FileHandle,
  segment: Segment,
  from: number,
  end: number,
): Promise<number | undefined> {
  const reader = new WindowReader(handle, end);
  for (let windowStart = from; windowStart + FRAME_HEADER_BYTES <= end; ) {
    const length = Math.min(end - windowStart, READ_AHEAD_BYTES);
    const bytes = await readFully(handle, windowStart, length);
    const window = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = window.indexOf(FRAME_MAGIC_BYTES); at !== -1; at = window.indexOf(FRAME_MAGIC_BYTES, at + 1)) {
      const read = await readFrame(reader, segment, windowStart + at, 0);
      if (read.type === 'frame') return windowStart + at;
    }
    // The last bytes are looked at again: a magic may begin in one window and end in the next.
    windowStart += Math.max(1, length - (FRAME_MAGIC_BYTES.length - 1));
  }
  return undefined;
}
