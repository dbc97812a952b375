/** The log on disk, damaged while it is open, or in what its checksums alone do not tell. */

import { open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { MAX_FRAME_BYTES, openLog } from '../src/index.ts';
import { collect, record, rejection, sized, temporaryFolder } from './support.ts';

const SEGMENT_HEADER_BYTES = 32;
const FIRST = '0000000000000000.log';

/** An open log of two frames, all of it synced; the second record is of 500 bytes. */
async function openTwoFrames() {
  const directory = await temporaryFolder();
  const log = await openLog({ directory });
  const [first] = log.append([record(1, 1, 2, 3)]);
  const [second] = log.append([sized(2, 500)]);
  await log.sync();
  return { directory, log, file: join(directory, FIRST), first: first!, second: second! };
}

/** A checksum as the format has it: over salt, position and two numbers. */
function checksum(salt: Uint8Array, position: number, first: number, second: number): number {
  const bytes = Buffer.alloc(24);
  bytes.set(salt);
  bytes.writeBigUInt64LE(BigInt(position), 8);
  bytes.writeUInt32LE(first, 16);
  bytes.writeUInt32LE(second, 20);
  return crc32(bytes);
}

describe('a log file that is damaged while the log is open', () => {
  it.each([
    ['within the header of a record', 5, 'the file ends within a record'],
    ['within a payload', 100, "the record's checksum is wrong"],
  ])('is noticed by who reads the record, if it is cut %s', async (_, kept, fault) => {
    const { log, file, first, second } = await openTwoFrames();
    await truncate(file, second + kept);
    expect((await rejection(log.read(second), 'LOG_CORRUPT')).data).toEqual({ file, offset: second, fault });
    const { data } = await rejection(collect(log.replay(0)), 'LOG_CORRUPT');
    expect(data).toMatchObject({ file, fault: 'the file ends within a frame' });
    expect(await log.read(first)).toEqual(record(1, 1, 2, 3));
    await log.close();
  });

  it('is noticed by who replays it, if it is cut within the header of a frame', async () => {
    const { log, file, first } = await openTwoFrames();
    const secondFrame = first + 12 + 3;
    await truncate(file, secondFrame + 7);
    const { data } = await rejection(collect(log.replay(0)), 'LOG_CORRUPT');
    expect(data).toEqual({ file, offset: secondFrame, fault: 'the file ends within the header of a frame' });
    await log.close();
  });

  it.each([0xffff_ffff, 501])('is noticed before a record of %i bytes is read that it cannot hold', async (length) => {
    const { log, file, second } = await openTwoFrames();
    const handle = await open(file, 'r+');
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(length);
    await handle.write(bytes, 0, 4, second);
    await handle.close();
    const { data } = await rejection(log.read(second), 'LOG_CORRUPT');
    expect(data).toMatchObject({ file, offset: second, fault: 'what stands there is not a record' });
    await log.close();
  });

  it('is noticed if it is gone', async () => {
    const { log, file, first } = await openTwoFrames();
    await rm(file);
    for (const read of [() => log.read(first), () => collect(log.replay(0))]) {
      expect((await rejection(read(), 'LOG_CORRUPT')).data).toEqual({ file, offset: 0, fault: 'the file is gone' });
    }
    await log.close();
  });
});

it('a segment that is pruned before a replay comes to it is said to be pruned', async () => {
  const log = await openLog({ directory: await temporaryFolder(), segmentBytes: 200 });
  for (let i = 1; i <= 10; i++) log.append([sized(i, 50)]);
  await log.sync();
  const replay = log.replay(0)[Symbol.asyncIterator]();
  await replay.next();
  await log.pruneBefore(log.end);
  const rest = async () => {
    while ((await replay.next()).done !== true);
  };
  expect((await rejection(rest(), 'LOG_PRUNED')).data.start).toBe(log.start);
  await log.close();
});

describe('a log file whose checksums are right', () => {
  it('of another version is refused, and left as it is', async () => {
    const { directory, log, file } = await openTwoFrames();
    await log.close();
    const bytes = await readFile(file);
    bytes.writeUInt32LE(2, 8);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 28)), 28);
    await writeFile(file, bytes);
    expect((await rejection(openLog({ directory }), 'LOG_VERSION')).data).toEqual({ file, version: 2, supported: 1 });
    expect(await readFile(file)).toEqual(bytes);
  });

  it.each([
    ['more records than it holds', 15, 2, 'a checksum in the frame is wrong'],
    ['fewer records than it holds', 15, 0, 'a checksum in the frame is wrong'],
    ['more bytes than any frame may have', MAX_FRAME_BYTES + 1, 1, 'the frame is longer than MAX_FRAME_BYTES'],
  ])('and whose frame tells of %s is damaged', async (_, payloadBytes, records, fault) => {
    const { directory, log, file } = await openTwoFrames();
    await log.close();
    const bytes = await readFile(file);
    const at = SEGMENT_HEADER_BYTES;
    bytes.writeUInt32LE(payloadBytes, at + 4);
    bytes.writeUInt32LE(records, at + 8);
    bytes.writeUInt32LE(checksum(bytes.subarray(20, 28), at, payloadBytes, records), at + 12);
    await writeFile(file, bytes);
    const { data } = await rejection(openLog({ directory }), 'LOG_CORRUPT');
    expect(data.offset).toBe(at);
    expect(data.fault).toMatch(new RegExp(`^${fault}, and a whole frame follows`));
  });
});
