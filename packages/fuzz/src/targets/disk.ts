/** What a crash or a damaged disk leaves: the log's files, and the records in them. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { MAX_FRAME_BYTES, openLog } from '@squad/storage';
import {
  createChecksum,
  decodeFrameHeader,
  decodeRecords,
  decodeSegmentHeader,
  encodeFrame,
  encodeSegmentHeader,
  FRAME_HEADER_BYTES,
  frameByteLength,
  RECORD_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
} from '@squad/storage/testing';
import { SquadError } from '@squad/types';
import type { Random } from '../random.ts';
import { demand, demandSameBytes, type Target } from '../target.ts';

const SALT = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

interface LogRecord {
  readonly kind: number;
  readonly payload: Uint8Array;
}

/** A segment file: its header, then frames. */
function randomSegment(random: Random): Uint8Array {
  const parts = [encodeSegmentHeader(0, SALT)];
  const checksum = createChecksum(SALT);
  let position = SEGMENT_HEADER_BYTES;
  for (let frames = random.below(5); frames > 0; frames--) {
    const records: LogRecord[] = Array.from({ length: random.integer(1, 4) }, () => ({
      kind: random.integer(1, 255),
      payload: random.bytes(random.below(60)),
    }));
    const frame = encodeFrame(checksum, position, records, frameByteLength(records));
    parts.push(...frame.buffers);
    position += frame.byteLength;
  }
  return Buffer.concat(parts);
}

/** A field of a frame or of a record is changed, and the checksum over it made right again: what no damage does by chance. */
function mutateSegment(input: Uint8Array, random: Random): Uint8Array {
  const copy = input.slice();
  const view = new DataView(copy.buffer);
  if (copy.length < SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES || random.chance(0.1)) {
    const at = random.pick([8, 12, 16]);
    if (copy.length >= SEGMENT_HEADER_BYTES) {
      view.setUint32(at, random.number() >>> 0, true);
      view.setUint32(28, crc32(copy.subarray(0, 28)), true);
    }
    return copy;
  }
  const checksum = createChecksum(SALT);
  const frame = SEGMENT_HEADER_BYTES;
  if (random.chance(0.5)) {
    view.setUint32(
      frame + random.pick([4, 8]),
      random.chance(0.5) ? random.integer(0, 80) : random.number() >>> 0,
      true,
    );
    view.setUint32(frame + 12, checksum(frame, view.getUint32(frame + 4, true), view.getUint32(frame + 8, true)), true);
    return copy;
  }
  const record = frame + FRAME_HEADER_BYTES;
  view.setUint32(
    record + random.pick([0, 4]),
    random.chance(0.5) ? random.integer(0, 80) : random.number() >>> 0,
    true,
  );
  const [length, kind] = [view.getUint32(record, true), view.getUint32(record + 4, true)];
  const payload = copy.subarray(record + RECORD_HEADER_BYTES, record + RECORD_HEADER_BYTES + length);
  view.setUint32(record + 8, checksum(record, length, kind, payload), true);
  return copy;
}

/** Reads the frames from the start of a segment, as recovery does; true if all of it is whole. */
function checkSegment(input: Uint8Array): boolean {
  const header = decodeSegmentHeader(input.subarray(0, SEGMENT_HEADER_BYTES));
  if (header.type !== 'header') return false;
  const checksum = createChecksum(header.salt);
  let at = SEGMENT_HEADER_BYTES;
  while (at + FRAME_HEADER_BYTES <= input.length) {
    const frame = decodeFrameHeader(checksum, header.base + at, input.subarray(at, at + FRAME_HEADER_BYTES));
    if (frame === undefined || frame.payloadBytes > MAX_FRAME_BYTES) return false;
    const start = at + FRAME_HEADER_BYTES;
    const payload = input.subarray(start, start + frame.payloadBytes);
    if (payload.length < frame.payloadBytes) return false;
    const records = decodeRecords(checksum, header.base + start, payload, frame.recordCount);
    if (records === undefined) return false;
    checkAgain(checksum, header.base + at, records, input.subarray(at, start + frame.payloadBytes));
    at = start + frame.payloadBytes;
  }
  return at === input.length;
}

function checkAgain(
  checksum: ReturnType<typeof createChecksum>,
  position: number,
  records: readonly LogRecord[],
  bytes: Uint8Array,
): void {
  // Kinds above a byte, which no writer makes, cannot be written again.
  if (records.some(({ kind }) => kind < 1 || kind > 255)) return;
  const again = encodeFrame(checksum, position, records, frameByteLength(records));
  demandSameBytes(bytes, Buffer.concat(again.buffers), 'a frame of the log');
}

let folder: string | undefined;

/** The input is the only file of a log's folder; opened, read, written to, closed, opened again. */
async function checkRecovery(input: Uint8Array): Promise<boolean> {
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'squad-fuzz-'));
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  const directory = folder;
  const file = join(directory, `${'0'.padStart(16, '0')}.log`);
  writeFileSync(file, input);
  try {
    const records = await contents(directory);
    const kept = readFileSync(file);
    demand(kept.length <= Math.max(input.length, SEGMENT_HEADER_BYTES), 'recovery made the file longer');
    const again = await contents(directory);
    demandSameBytes(kept, readFileSync(file), 'a log that was opened twice');
    demand(records.length === again.length, 'a log that was opened twice has other records');
    return kept.length === input.length;
  } catch (error) {
    if (error instanceof SquadError) return false;
    throw error;
  }
}

async function contents(directory: string): Promise<LogRecord[]> {
  const log = await openLog({ directory });
  try {
    const records: LogRecord[] = [];
    for await (const record of log.replay(0)) records.push(record);
    return records;
  } finally {
    await log.close();
  }
}

export const DISK_TARGETS: readonly Target[] = [
  {
    name: 'log-segment',
    what: 'disk: the frames of a log file',
    make: randomSegment,
    mutate: mutateSegment,
    check: checkSegment,
  },
  {
    name: 'log-recovery',
    what: 'disk: opening a log whose only file is this one',
    make: randomSegment,
    mutate: mutateSegment,
    check: checkRecovery,
    // Opens files and syncs them several times an input; what reads the bytes has the full count in log-segment.
    longRunInputs: 50_000,
    budget: { bytes: 16 << 20, bytesPerInputByte: 256, milliseconds: 5_000 },
  },
];
