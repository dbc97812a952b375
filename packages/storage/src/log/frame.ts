/**
 * The frame: what one `append` becomes on disk, whole or absent.
 *
 *   frame  = magic u32 | payload bytes u32 | record count u32 | checksum u32 | record…
 *   record = payload bytes u32 | kind u32 | checksum u32 | payload
 *
 * Little-endian. Each checksum is a CRC-32 that begins with the segment's random salt and the position, so bytes of a
 * payload can neither pass for a frame (its author does not know the salt) nor can a frame pass at another place.
 */

import { crc32 } from 'node:zlib';
import type { LogPosition, PositionedRecord, RecordToAppend } from '../api.ts';
import { logLimit } from '../errors.ts';
import { MAX_FRAME_BYTES, MAX_RECORD_BYTES, MAX_RECORDS_PER_FRAME } from '../limits.ts';

/** The letters SQFR. */
const FRAME_MAGIC = 0x52_46_51_53;
export const FRAME_MAGIC_BYTES: Uint8Array = Uint8Array.of(0x53, 0x51, 0x46, 0x52);
export const FRAME_HEADER_BYTES = 16;
export const RECORD_HEADER_BYTES = 12;
export const SALT_BYTES = 8;
/** Payloads up to this size are copied beside their headers, as that is cheaper than a buffer of their own. */
const COPY_UP_TO_BYTES = 4096;

/** `parts`: what a record's payload consists of. */
export type Checksum = (
  position: LogPosition,
  first: number,
  second: number,
  ...parts: readonly (Uint8Array | undefined)[]
) => number;

export function createChecksum(salt: Uint8Array): Checksum {
  const prefix = new Uint8Array(SALT_BYTES + 16);
  prefix.set(salt);
  const view = new DataView(prefix.buffer);
  return (position, first, second, ...parts) => {
    view.setBigUint64(SALT_BYTES, BigInt(position), true);
    view.setUint32(SALT_BYTES + 8, first, true);
    view.setUint32(SALT_BYTES + 12, second, true);
    return parts.reduce((sum: number, part) => (part === undefined ? sum : crc32(part, sum)), crc32(prefix));
  };
}

export interface EncodedFrame {
  readonly buffers: Uint8Array[];
  readonly byteLength: number;
  readonly positions: LogPosition[];
}

export function payloadByteLength({ head, payload }: RecordToAppend): number {
  return (head?.length ?? 0) + payload.length;
}

/** Bytes that the records take as one frame. Throws `LOG_LIMIT` for what no frame can hold. */
export function frameByteLength(records: readonly RecordToAppend[]): number {
  if (records.length > MAX_RECORDS_PER_FRAME) {
    throw logLimit('The number of records', records.length, 'MAX_RECORDS_PER_FRAME', MAX_RECORDS_PER_FRAME);
  }
  let byteLength = FRAME_HEADER_BYTES;
  for (const record of records) {
    const { kind } = record;
    if (!Number.isInteger(kind) || kind < 1 || kind > 255) throw logLimit('A record kind', kind, 'the byte', 255);
    const payloadBytes = payloadByteLength(record);
    if (payloadBytes > MAX_RECORD_BYTES) {
      throw logLimit('The byte length of a record', payloadBytes, 'MAX_RECORD_BYTES', MAX_RECORD_BYTES);
    }
    byteLength += RECORD_HEADER_BYTES + payloadBytes;
  }
  if (byteLength > MAX_FRAME_BYTES) {
    throw logLimit('The byte length of one append', byteLength, 'MAX_FRAME_BYTES', MAX_FRAME_BYTES);
  }
  return byteLength;
}

/** `position`: where the frame begins. Large payloads are referenced, not copied. */
export function encodeFrame(
  checksum: Checksum,
  position: LogPosition,
  records: readonly RecordToAppend[],
  byteLength: number,
): EncodedFrame {
  const isCopied = (payload: Uint8Array) => payload.length <= COPY_UP_TO_BYTES;
  let copiedBytes = FRAME_HEADER_BYTES;
  for (const { head, payload } of records) {
    copiedBytes += RECORD_HEADER_BYTES + (head?.length ?? 0) + (isCopied(payload) ? payload.length : 0);
  }

  const copied = new Uint8Array(copiedBytes);
  const view = new DataView(copied.buffer);
  const payloadBytes = byteLength - FRAME_HEADER_BYTES;
  view.setUint32(0, FRAME_MAGIC, true);
  view.setUint32(4, payloadBytes, true);
  view.setUint32(8, records.length, true);
  view.setUint32(12, checksum(position, payloadBytes, records.length), true);

  const buffers: Uint8Array[] = [];
  const positions: LogPosition[] = [];
  let sliceStart = 0;
  let offset = FRAME_HEADER_BYTES;
  let recordPosition = position + FRAME_HEADER_BYTES;
  for (const record of records) {
    const { kind, head, payload } = record;
    const length = payloadByteLength(record);
    positions.push(recordPosition);
    view.setUint32(offset, length, true);
    view.setUint32(offset + 4, kind, true);
    view.setUint32(offset + 8, checksum(recordPosition, length, kind, head, payload), true);
    offset += RECORD_HEADER_BYTES;
    if (head !== undefined) {
      copied.set(head, offset);
      offset += head.length;
    }
    if (isCopied(payload)) {
      copied.set(payload, offset);
      offset += payload.length;
    } else {
      buffers.push(copied.subarray(sliceStart, offset), payload);
      sliceStart = offset;
    }
    recordPosition += RECORD_HEADER_BYTES + length;
  }
  if (sliceStart < offset) buffers.push(copied.subarray(sliceStart, offset));
  return { buffers, byteLength, positions };
}

export interface FrameHeader {
  readonly payloadBytes: number;
  readonly recordCount: number;
}

/** `bytes` holds at least a header; undefined if it is not one that was written at this position. */
export function decodeFrameHeader(
  checksum: Checksum,
  position: LogPosition,
  bytes: Uint8Array,
): FrameHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== FRAME_MAGIC) return undefined;
  const payloadBytes = view.getUint32(4, true);
  const recordCount = view.getUint32(8, true);
  return view.getUint32(12, true) === checksum(position, payloadBytes, recordCount)
    ? { payloadBytes, recordCount }
    : undefined;
}

export interface RecordHeader {
  readonly payloadBytes: number;
  readonly kind: number;
  readonly expectedChecksum: number;
}

export function decodeRecordHeader(bytes: Uint8Array, offset: number): RecordHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, RECORD_HEADER_BYTES);
  return {
    payloadBytes: view.getUint32(0, true),
    kind: view.getUint32(4, true),
    expectedChecksum: view.getUint32(8, true),
  };
}

/** The records of a frame as views into `payload`, which stands at `position`; undefined if any is not as written. */
export function decodeRecords(
  checksum: Checksum,
  position: LogPosition,
  payload: Uint8Array,
  recordCount: number,
): PositionedRecord[] | undefined {
  const records: PositionedRecord[] = [];
  let offset = 0;
  for (let i = 0; i < recordCount; i++) {
    if (offset + RECORD_HEADER_BYTES > payload.length) return undefined;
    const { payloadBytes, kind, expectedChecksum } = decodeRecordHeader(payload, offset);
    const start = offset + RECORD_HEADER_BYTES;
    if (start + payloadBytes > payload.length) return undefined;
    const bytes = payload.subarray(start, start + payloadBytes);
    if (checksum(position + offset, payloadBytes, kind, bytes) !== expectedChecksum) return undefined;
    records.push({ kind, payload: bytes, position: position + offset });
    offset = start + payloadBytes;
  }
  return offset === payload.length ? records : undefined;
}
