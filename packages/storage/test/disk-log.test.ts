/** The log on disk: what a crash leaves, what damage does, and disks that fail. */

import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SquadError } from '@squad/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type LogFileCalls,
  type LogRecord,
  MAX_PENDING_BYTES,
  MAX_RECORD_BYTES,
  MemoryLog,
  openLog,
  type TornTail,
} from '../src/index.ts';
import { collect, copyOfFolder, record, refusal, rejection, sized, temporaryFolder } from './support.ts';

const SEGMENT_HEADER_BYTES = 32;

async function logFiles(directory: string): Promise<string[]> {
  return (await readdir(directory))
    .filter((name) => name.endsWith('.log'))
    .sort()
    .map((name) => join(directory, name));
}

/** Writes frames of records, each synced, and returns the only segment's bytes and where its frames end. */
async function smallLog(frames: readonly (readonly LogRecord[])[]) {
  const directory = await temporaryFolder();
  const log = await openLog({ directory });
  const ends = [log.end];
  for (const frame of frames) {
    log.append(frame);
    await log.sync();
    ends.push(log.end);
  }
  await log.close();
  const [file] = await logFiles(directory);
  return { directory, file: file!, bytes: await readFile(file!), ends };
}

const FRAMES = [[record(1, 1, 2, 3), record(2)], [record(3, 9, 9)], [record(4, 7, 7, 7, 7), record(5, 8)]];
const kindsOf = (frames: readonly (readonly LogRecord[])[]) => frames.flat().map(({ kind }) => kind);

async function openAndRead(directory: string, onTornTail?: (tail: TornTail) => void): Promise<number[]> {
  const log = await openLog({ directory, ...(onTornTail === undefined ? {} : { onTornTail }) });
  try {
    return (await collect(log.replay(0))).map(({ kind }) => kind);
  } finally {
    await log.close();
  }
}

describe('a log that a crash has cut', () => {
  it('holds exactly the whole frames, wherever its end is cut off, and goes on', async () => {
    const { directory, file, bytes, ends } = await smallLog(FRAMES);
    for (let length = SEGMENT_HEADER_BYTES; length < bytes.length; length++) {
      await writeFile(file, bytes.subarray(0, length));
      const tails: TornTail[] = [];
      const whole = ends.filter((end) => end <= length).length - 1;
      expect(await openAndRead(directory, (tail) => tails.push(tail))).toEqual(kindsOf(FRAMES.slice(0, whole)));
      const torn = length - ends[whole]!;
      expect(tails).toEqual(torn === 0 ? [] : [{ file, offset: ends[whole], bytes: torn }]);
    }
    const log = await openLog({ directory });
    log.append([record(77, 1)]);
    await log.close();
    expect((await openAndRead(directory)).at(-1)).toBe(77);
  });

  it('begins anew if it is cut within the header of its last file', async () => {
    const { directory, file, bytes } = await smallLog(FRAMES);
    for (let length = 0; length < SEGMENT_HEADER_BYTES; length++) {
      await writeFile(file, bytes.subarray(0, length));
      expect(await openAndRead(directory)).toEqual([]);
    }
  });

  it('keeps the files before a last one that was never begun', async () => {
    const directory = await temporaryFolder();
    const log = await openLog({ directory, segmentBytes: 200 });
    for (let i = 1; i <= 10; i++) log.append([sized(i, 50)]);
    await log.close();
    const files = await logFiles(directory);
    const last = files.at(-1)!;
    const kept = 10 - (await collectKinds(last, directory, files));
    for (const length of [0, 1, 31]) {
      await truncate(last, length);
      expect(await openAndRead(directory)).toHaveLength(kept);
    }
  });

  it('is cut where a last frame is followed by zeros or by garbage', async () => {
    const { directory, file, bytes } = await smallLog(FRAMES);
    for (const tail of [
      Buffer.alloc(4096),
      Buffer.from('SQFR'.repeat(500)),
      bytes.subarray(SEGMENT_HEADER_BYTES, bytes.length - 1),
    ]) {
      await writeFile(file, Buffer.concat([bytes, tail]));
      expect(await openAndRead(directory)).toEqual(kindsOf(FRAMES));
      expect(await readFile(file)).toEqual(bytes);
    }
  });
});

/** Records in the last file. */
async function collectKinds(last: string, directory: string, files: readonly string[]): Promise<number> {
  const all = await openAndRead(directory);
  const copy = await copyOfFolder(directory);
  await writeFile(join(copy, last.slice(directory.length + 1)), '');
  expect(files.length).toBeGreaterThan(2);
  return all.length - (await openAndRead(copy)).length;
}

describe('a damaged log', () => {
  it('stops with the file and the offset if any byte before the last frame is changed', async () => {
    const { directory, file, bytes, ends } = await smallLog(FRAMES);
    const lastFrame = ends.at(-2)!;
    for (let at = 0; at < lastFrame; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at] = damaged[at]! ^ (1 << (at % 8));
      await writeFile(file, damaged);
      const error = await rejection(openLog({ directory }), 'LOG_CORRUPT');
      const frame = at < SEGMENT_HEADER_BYTES ? 0 : ends.filter((end) => end <= at).at(-1)!;
      expect(error.data).toMatchObject({ file, offset: frame });
      expect(error.message).toContain(file);
      expect(error.remedy).toMatch(
        /empty one.*catches up from its peers.*without its keystore.*once an epoch has begun after/s,
      );
      // It changed nothing.
      expect(await readFile(file)).toEqual(damaged);
    }
  });

  it('loses the last frame, whole, if any byte of that is changed', async () => {
    const { directory, file, bytes, ends } = await smallLog(FRAMES);
    for (let at = ends.at(-2)!; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at] = damaged[at]! ^ 0x10;
      await writeFile(file, damaged);
      expect(await openAndRead(directory)).toEqual(kindsOf(FRAMES.slice(0, 2)));
    }
  });

  it('is not fooled by a payload that holds a frame of this log', async () => {
    const { directory, file, bytes, ends } = await smallLog(FRAMES);
    const log = await openLog({ directory });
    log.append([{ kind: 6, payload: bytes.subarray(ends[0], ends[2]) }]);
    await log.close();
    await truncate(file, (await readFile(file)).length - 1);
    expect(await openAndRead(directory)).toEqual(kindsOf(FRAMES));
  });

  it('reports damage in an older file when it is read, or at once with verifyAll', async () => {
    const directory = await temporaryFolder();
    const log = await openLog({ directory, segmentBytes: 200 });
    const positions = Array.from({ length: 10 }, (_, i) => log.append([sized(i + 1, 50)])[0]!);
    await log.close();
    const [first] = await logFiles(directory);
    const bytes = await readFile(first!);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(first!, bytes);
    expect((await rejection(openLog({ directory, verifyAll: true }), 'LOG_CORRUPT')).data.file).toBe(first);
    const again = await openLog({ directory });
    await rejection(collect(again.replay(0)), 'LOG_CORRUPT');
    expect(await again.read(positions[0]!)).toEqual(sized(1, 50));
    const errors = await Promise.all(
      positions.slice(0, 4).map((position) => again.read(position).catch((error: unknown) => error)),
    );
    expect(errors.filter((error) => (error as SquadError).code === 'LOG_CORRUPT')).toHaveLength(1);
    expect(await again.read(positions[9]!)).toEqual(sized(10, 50));
    await again.close();
  });

  it('stops if a file is missing, too short, too long, or misnamed', async () => {
    const origin = await temporaryFolder();
    const log = await openLog({ directory: origin, segmentBytes: 200 });
    for (let i = 1; i <= 12; i++) log.append([sized(i, 50)]);
    await log.close();
    const damages: ((files: string[]) => Promise<unknown>)[] = [
      async (files) => rm(files[1]!),
      async (files) => truncate(files[1]!, (await readFile(files[1]!)).length - 1),
      async (files) => truncate(files[0]!, 0),
      async (files) => writeFile(files[0]!, Buffer.concat([await readFile(files[0]!), Buffer.alloc(1)])),
      async (files) => writeFile(files[1]!, await readFile(files[2]!)),
      async (files) => writeFile(join(files[0]!, '..', '0000000000000001.log'), await readFile(files[0]!)),
    ];
    for (const damage of damages) {
      const directory = await copyOfFolder(origin);
      await damage(await logFiles(directory));
      await rejection(openLog({ directory }), 'LOG_CORRUPT');
    }
  });
});

describe('a log on a disk that fails', () => {
  const calls = (overrides: Partial<LogFileCalls>): LogFileCalls => ({
    write: async (handle, buffers, offset) => (await handle.writev(buffers as Uint8Array[], offset)).bytesWritten,
    sync: (handle) => handle.datasync(),
    ...overrides,
  });

  it('shares one fsync between all that wait, and needs one a turn', async () => {
    let syncs = 0;
    let writes = 0;
    const real = calls({});
    const counting = calls({
      write: (...args) => {
        writes++;
        return real.write(...args);
      },
      sync: (handle) => {
        syncs++;
        return real.sync(handle);
      },
    });
    const log = await openLog({ directory: await temporaryFolder(), calls: counting });
    for (let turn = 0; turn < 5; turn++) {
      const waiting = Array.from({ length: 20 }, (_, i) => {
        log.append([sized(1, 100 * i)]);
        return log.sync();
      });
      await Promise.all(waiting);
    }
    expect([syncs, writes]).toEqual([5, 5]);
    await log.sync();
    expect(syncs).toBe(5);
    await log.close();
  });

  it('writes on when the system takes only a part', async () => {
    const directory = await temporaryFolder();
    const stingy = calls({
      write: async (handle, buffers, offset) => {
        const first = buffers[0]!;
        return (await handle.write(first.subarray(0, Math.max(1, first.length >> 1)), 0, undefined, offset))
          .bytesWritten;
      },
    });
    const log = await openLog({ directory, segmentBytes: 30_000, calls: stingy });
    const records = Array.from({ length: 20 }, (_, i) => sized(i + 1, i * 500));
    for (const one of records) log.append([one, record(99)]);
    await log.close();
    const again = await openLog({ directory, verifyAll: true });
    const payloads = (await collect(again.replay(0))).filter(({ kind }) => kind !== 99).map(({ payload }) => payload);
    expect(payloads).toEqual(records.map(({ payload }) => payload));
    await again.close();
  });

  const failing: [string, string, Partial<LogFileCalls>][] = [
    [
      'LOG_DISK_FULL',
      'ENOSPC',
      { write: async () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })) },
    ],
    [
      'LOG_DISK_FULL',
      'ENOSPC',
      { sync: async () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })) },
    ],
    ['LOG_SYNC_FAILED', 'EIO', { sync: async () => Promise.reject(Object.assign(new Error('io'), { code: 'EIO' })) }],
    ['LOG_WRITE_FAILED', 'EIO', { write: async () => Promise.reject(Object.assign(new Error('io'), { code: 'EIO' })) }],
    ['LOG_WRITE_FAILED', 'EIO', { write: async () => 0 }],
    ['LOG_WRITE_FAILED', 'Error: gone', { write: async () => Promise.reject(new Error('gone')) }],
  ];
  it.each(failing)('refuses everything after %s (%s)', async (code, reason, overrides) => {
    const directory = await temporaryFolder();
    let log = await openLog({ directory });
    log.append([record(1)]);
    await log.close();
    const failures: SquadError[] = [];
    log = await openLog({ directory, calls: calls(overrides), onFailure: (error) => failures.push(error) });
    log.append([record(2)]);
    const [first, second] = await Promise.all([rejection(log.sync(), code), rejection(log.sync(), code)]);
    expect(second).toBe(first);
    expect(first.data).toMatchObject({ reason });
    await refusal(() => log.append([record(3)]), code);
    await refusal(() => log.sync(), code);
    await refusal(() => log.read(48), code);
    expect(failures).toEqual([first]);
    await log.close();
    expect((await openAndRead(directory))[0]).toBe(1);
  });
});

describe('a log whose disk is slower than its appends', () => {
  it('takes no more than MAX_PENDING_BYTES, and more again once they are written', async () => {
    const { promise: gate, resolve: letWrite } = Promise.withResolvers<void>();
    const calls: LogFileCalls = {
      write: async (_, buffers) => {
        await gate;
        return buffers.reduce((sum, { length }) => sum + length, 0);
      },
      sync: async () => {},
    };
    const log = await openLog({ directory: await temporaryFolder(), calls });
    const largest = { kind: 1, payload: new Uint8Array(MAX_RECORD_BYTES) };
    for (let i = 1; i < MAX_PENDING_BYTES / MAX_RECORD_BYTES; i++) log.append([largest]);
    const end = log.end;
    const error = await refusal(() => log.append([largest]), 'LOG_BACKLOG');
    expect(error.data).toMatchObject({ limit: MAX_PENDING_BYTES });
    expect(log.end).toBe(end);
    letWrite();
    await log.sync();
    expect(log.append([largest])).toHaveLength(1);
    await log.close();
  });

  it('prunes no segment that is not written as a whole', async () => {
    const log = await openLog({ directory: await temporaryFolder(), segmentBytes: 200 });
    for (let i = 1; i <= 10; i++) log.append([sized(i, 50)]);
    await log.pruneBefore(log.end);
    expect(log.start).toBe(0);
    expect(await collect(log.replay(0))).toHaveLength(10);
    await log.sync();
    await log.pruneBefore(log.end);
    expect(log.start).toBeGreaterThan(0);
    await log.close();
  });
});

describe('any run of appends, syncs, crashes and restarts', () => {
  type Step =
    | { readonly type: 'append'; readonly sizes: readonly number[] }
    | { readonly type: 'sync' | 'reopen' }
    | { readonly type: 'crash'; readonly cut: number };
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ type: fc.constant('append' as const), sizes: fc.array(fc.nat(5000), { maxLength: 4 }) }),
    },
    { weight: 3, arbitrary: fc.record({ type: fc.constantFrom('sync' as const, 'reopen' as const) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('crash' as const), cut: fc.nat(1000) }) },
  );
  interface Frame {
    readonly end: number;
    readonly records: readonly LogRecord[];
  }

  async function runOnDisk(steps: readonly Step[], segmentBytes: number): Promise<void> {
    const directory = await temporaryFolder();
    let log = await openLog({ directory, segmentBytes });
    let frames: Frame[] = [];
    let durable = log.end;
    for (const [i, one] of steps.entries()) {
      if (one.type === 'append') {
        const records = one.sizes.map((size) => sized(1 + (i % 200), size));
        if (log.append(records).length > 0) frames.push({ end: log.end, records });
      } else if (one.type === 'sync') {
        await log.sync();
        durable = log.end;
      } else {
        const end = log.end;
        await log.close();
        // A power failure keeps any number of the bytes that were not synced.
        const cut = one.type === 'crash' ? durable + Math.floor(((end - durable) * one.cut) / 1000) : end;
        await cutLog(directory, cut);
        log = await openLog({ directory, segmentBytes });
        frames = frames.filter((frame) => frame.end <= cut);
        durable = log.end;
      }
      const held = (await collect(log.replay(0))).map(({ kind, payload }) => ({ kind, payload }));
      expect(held).toEqual(frames.flatMap((frame) => frame.records));
    }
    await log.close();
  }

  async function cutLog(directory: string, end: number): Promise<void> {
    for (const file of await logFiles(directory)) {
      const base = Number(file.slice(-20, -4));
      if (base > end) await rm(file);
      else if ((await readFile(file)).length > end - base) await truncate(file, end - base);
    }
  }

  it('leaves what was synced and whole frames only, on disk', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 20 }),
        fc.constantFrom(200, 6000, 1_000_000),
        (steps, segmentBytes) => runOnDisk(steps, segmentBytes),
      ),
      { numRuns: 25 },
    );
  }, 60_000);

  it('leaves what was synced and a prefix of the frames, in memory', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 30 }),
        fc.constantFrom(200, 1_000_000),
        async (steps, segmentBytes) => {
          let log = new MemoryLog({ segmentBytes });
          let frames: (readonly LogRecord[])[] = [];
          let durable = 0;
          for (const one of steps) {
            if (one.type === 'append') {
              const records = one.sizes.map((size) => sized(1, size));
              if (log.append(records).length > 0) frames.push(records);
            } else if (one.type === 'sync') {
              await log.sync();
              durable = frames.length;
            } else {
              const kept = one.type === 'crash' ? one.cut % 3 : frames.length;
              log = one.type === 'crash' ? log.crash(kept) : log.reopen();
              frames = frames.slice(0, durable + kept);
              durable = frames.length;
            }
            const held = (await collect(log.replay(0))).map(({ kind, payload }) => ({ kind, payload }));
            expect(held).toEqual(frames.flat());
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
