/** What every log and every key-value store must do, on disk and in memory. The node store's is in its own file. */

import { concatBytes } from '@squad/types';
import { describe, expect, it } from 'vitest';
import {
  type KeyValueStore,
  type Log,
  type LogRecord,
  MAX_FRAME_BYTES,
  MAX_RECORD_BYTES,
  MAX_RECORDS_PER_FRAME,
  type PositionedRecord,
  type RecordToAppend,
} from '../src/index.ts';
import { collect, record, refusal, rejection, sized } from './support.ts';

/** One set of data; `open` opens it again after a `close`. */
export interface Subject<T> {
  open(): Promise<T>;
}

const withoutPosition = ({ kind, payload }: PositionedRecord): LogRecord => ({ kind, payload });

export function describeLog(label: string, create: (segmentBytes?: number) => Promise<Subject<Log>>): void {
  describe(`Log, ${label}`, () => {
    it('gives back each record at its position, synced or not', async () => {
      const log = await (await create()).open();
      const records = [record(1, 1, 2, 3), record(255), sized(7, 5000), sized(8, 1_000_000)];
      const positions = log.append(records);
      for (const [i, position] of positions.entries()) expect(await log.read(position)).toEqual(records[i]);
      await log.sync();
      for (const [i, position] of positions.entries()) expect(await log.read(position)).toEqual(records[i]);
      await log.close();
    });

    it('puts the head of a record before its payload, copied or not, and reads them as one', async () => {
      const subject = await create();
      const log = await subject.open();
      const payloads = [new Uint8Array(), ...[3, 4096, 4097, 300_000].map((length) => sized(1, length).payload)];
      const given = payloads.map((payload, i) => ({ kind: i + 1, head: Uint8Array.of(7, 8, i), payload }));
      const whole = given.map(({ kind, head, payload }) => ({ kind, payload: concatBytes(head, payload) }));
      const positions = log.append([record(9, 1), ...given, record(10, 2)]).slice(1, -1);
      await log.sync();
      for (const [i, position] of positions.entries()) expect(await log.read(position)).toEqual(whole[i]);
      await log.close();
      const again = await subject.open();
      const replayed = (await collect(again.replay(0))).map(withoutPosition);
      expect(replayed).toEqual([record(9, 1), ...whole, record(10, 2)]);
      await again.close();
    });

    it('gives back many at a time, in the order asked for, whichever segments they stand in', async () => {
      const log = await (await create(400)).open();
      const records = [...Array.from({ length: 30 }, (_, i) => sized(i + 1, i * 20)), sized(99, 300_000)];
      const positions = records.flatMap((one) => log.append([one]));
      const asked = [30, 3, 17, 3, 0].map((i) => positions[i]!);
      expect(await log.readMany(asked)).toEqual([30, 3, 17, 3, 0].map((i) => records[i]));
      expect(await log.readMany([])).toEqual([]);
      await log.sync();
      await log.pruneBefore(positions[20]!);
      expect(await log.readMany([positions[0]!, positions[25]!])).toEqual([undefined, records[25]]);
      await rejection(log.readMany([positions[25]!, log.end]), 'LOG_POSITION');
      await log.close();
    });

    it('gives ascending positions below its end', async () => {
      const log = await (await create()).open();
      const positions = [
        ...log.append([record(1), record(2, 9)]),
        ...log.append([sized(3, 100)]),
        ...log.append([record(4)]),
      ];
      expect(positions).toEqual([...positions].sort((a, b) => a - b));
      expect(new Set(positions).size).toBe(4);
      expect(log.end).toBeGreaterThan(positions.at(-1)!);
      await log.close();
    });

    it('takes an append of nothing and stays as it was', async () => {
      const log = await (await create()).open();
      const end = log.end;
      expect(log.append([])).toEqual([]);
      expect(log.end).toBe(end);
      await log.sync();
      expect(await collect(log.replay(0))).toEqual([]);
      await log.close();
    });

    it('replays all records in order, or from any record on', async () => {
      const log = await (await create(300)).open();
      const records = Array.from({ length: 30 }, (_, i) => sized(i + 1, i * 7));
      const positions = records.flatMap((_, i) => (i % 3 === 0 ? log.append(records.slice(i, i + 3)) : []));
      expect((await collect(log.replay(0))).map(withoutPosition)).toEqual(records);
      for (const [i, position] of positions.entries()) {
        const replayed = await collect(log.replay(position));
        expect(replayed.map(withoutPosition)).toEqual(records.slice(i));
        expect(replayed[0]!.position).toBe(position);
      }
      expect(await collect(log.replay(log.end))).toEqual([]);
      await log.close();
    });

    it('replays what was appended before the call, not what comes meanwhile', async () => {
      const log = await (await create()).open();
      log.append([record(1), record(2)]);
      const kinds: number[] = [];
      for await (const { kind } of log.replay(0)) {
        kinds.push(kind);
        log.append([record(3)]);
      }
      expect(kinds).toEqual([1, 2]);
      await log.close();
    });

    it('holds the same records at the same positions when opened again, and goes on after them', async () => {
      const subject = await create(400);
      const log = await subject.open();
      for (let i = 1; i <= 20; i++) log.append([sized(i, 40), sized(i, 0)]);
      const before = await collect(log.replay(0));
      const { start, end } = log;
      await log.close();
      const again = await subject.open();
      expect(await collect(again.replay(0))).toEqual(before);
      expect([again.start, again.end]).toEqual([start, end]);
      const [position] = again.append([record(200, 1)]);
      expect(position).toBeGreaterThanOrEqual(end);
      expect((await collect(again.replay(end))).map(withoutPosition)).toEqual([record(200, 1)]);
      await again.close();
    });

    it('keeps a frame that is larger than a segment', async () => {
      const subject = await create(256);
      const log = await subject.open();
      const positions = [record(1, 1), sized(2, 10_000), record(3, 3)].flatMap((one) => log.append([one]));
      await log.close();
      const again = await subject.open();
      expect(await again.read(positions[1]!)).toEqual(sized(2, 10_000));
      expect((await collect(again.replay(0))).map((one) => one.kind)).toEqual([1, 2, 3]);
      await again.close();
    });

    it('prunes whole segments before a position, and nothing at or after it', async () => {
      const subject = await create(300);
      const log = await subject.open();
      const positions = Array.from({ length: 40 }, (_, i) => log.append([sized(i + 1, 50)])[0]!);
      await log.sync();
      await log.pruneBefore(positions[25]!);
      expect(log.start).toBeGreaterThan(positions[10]!);
      expect(log.start).toBeLessThanOrEqual(positions[25]!);
      await rejection(log.read(positions[0]!), 'LOG_PRUNED');
      const kept = await collect(log.replay(0));
      expect(kept.map((one) => one.position)).toEqual(positions.filter((position) => position >= log.start));
      const { start, end } = log;
      await log.close();
      const again = await subject.open();
      expect([again.start, again.end]).toEqual([start, end]);
      expect(await collect(again.replay(0))).toEqual(kept);
      await again.pruneBefore(again.end);
      expect(again.start).toBeLessThanOrEqual(again.end);
      expect(again.append([record(1)])[0]).toBeGreaterThanOrEqual(end);
      await again.close();
    });

    it('refuses positions at which no record can be', async () => {
      const log = await (await create()).open();
      log.append([record(1)]);
      await rejection(log.read(log.end), 'LOG_POSITION');
      await rejection(log.read(log.end + 1_000_000), 'LOG_POSITION');
      await rejection(log.read(Number.NaN), 'LOG_POSITION');
      await rejection(log.read(-1), 'LOG_PRUNED', 'LOG_POSITION');
      await log.close();
    });

    it('refuses what no frame can hold, and names the limit', async () => {
      const log = await (await create()).open();
      for (const kind of [0, -1, 256, 1.5, Number.NaN]) await refusal(() => log.append([record(kind)]), 'LOG_LIMIT');
      const many = Array.from({ length: MAX_RECORDS_PER_FRAME + 1 }, () => record(1));
      const error = await refusal(() => log.append(many), 'LOG_LIMIT');
      expect(error.message).toContain(`MAX_RECORDS_PER_FRAME = ${MAX_RECORDS_PER_FRAME}`);
      const largest = { kind: 1, payload: new Uint8Array(MAX_RECORD_BYTES) };
      const larger = { kind: 1, payload: new Uint8Array(MAX_RECORD_BYTES + 1) };
      const sizes: [records: RecordToAppend[], limit: string][] = [
        [[larger], `MAX_RECORD_BYTES = ${MAX_RECORD_BYTES}`],
        [[{ ...largest, head: Uint8Array.of(1) }], `MAX_RECORD_BYTES = ${MAX_RECORD_BYTES}`],
        [[largest, largest, largest, largest], `MAX_FRAME_BYTES = ${MAX_FRAME_BYTES}`],
      ];
      for (const [records, limit] of sizes) {
        expect((await refusal(() => log.append(records), 'LOG_LIMIT')).message).toContain(limit);
      }
      expect(await collect(log.replay(0))).toEqual([]);
      const [position] = log.append([largest]);
      expect((await log.read(position!)).payload).toHaveLength(MAX_RECORD_BYTES);
      expect(log.append(many.slice(1))).toHaveLength(MAX_RECORDS_PER_FRAME);
      await log.close();
    });

    it('serves any number of syncs at once', async () => {
      const log = await (await create()).open();
      const syncs = Array.from({ length: 50 }, (_, i) => {
        log.append([sized(1 + (i % 9), i)]);
        return log.sync();
      });
      await Promise.all([...syncs, log.sync(), log.sync()]);
      expect(await collect(log.replay(0))).toHaveLength(50);
      await log.close();
    });

    it('refuses everything once it is closed; closing twice is harmless', async () => {
      const log = await (await create()).open();
      const [position] = log.append([record(1)]);
      await log.close();
      await log.close();
      await refusal(() => log.append([record(1)]), 'LOG_CLOSED');
      await refusal(() => log.sync(), 'LOG_CLOSED');
      await refusal(() => log.read(position!), 'LOG_CLOSED');
      await refusal(() => collect(log.replay(0)), 'LOG_CLOSED');
      await refusal(() => log.pruneBefore(0), 'LOG_CLOSED');
    });
  });
}

const key = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

export function describeKeyValueStore(label: string, create: () => Promise<Subject<KeyValueStore>>): void {
  describe(`KeyValueStore, ${label}`, () => {
    it('gets what was written last, and undefined for what was not or was deleted', async () => {
      const store = await (await create()).open();
      await store.write([
        [key(1), key(10)],
        [key(2), key(20)],
        [key(3), key()],
      ]);
      await store.write(
        [
          [key(1), key(11)],
          [key(2), undefined],
          [key(9), undefined],
        ],
        { sync: true },
      );
      expect(await store.get(key(1))).toEqual(key(11));
      expect(await store.get(key(2))).toBeUndefined();
      expect(await store.get(key(3))).toEqual(key());
      expect(await store.getMany([key(3), key(2), key(1), key(1)])).toEqual([key(), undefined, key(11), key(11)]);
      expect(await store.getMany([])).toEqual([]);
      await store.write([]);
      await store.close();
    });

    it('gives plain byte arrays, whose slices are copies', async () => {
      const store = await (await create()).open();
      await store.write([[key(1), key(10, 11)]]);
      const value = (await store.get(key(1)))!;
      const pairs = await collect(store.range({}));
      for (const bytes of [value, ...pairs.flat()]) expect(Buffer.isBuffer(bytes)).toBe(false);
      expect(value.slice(1)).toEqual(key(11));
      await store.close();
    });

    it('ranges in the order of the bytes, within bounds, backwards and up to a limit', async () => {
      const store = await (await create()).open();
      const keys = [
        key(),
        key(0),
        key(0, 0),
        key(0, 255),
        key(1),
        key(127, 200),
        key(128),
        key(255),
        key(255, 0),
      ].slice(1);
      await store.write([...keys].reverse().map((k) => [k, k] as const));
      const range = async (options: Parameters<KeyValueStore['range']>[0]) =>
        (await collect(store.range(options))).map(([k]) => k);
      expect(await range({})).toEqual(keys);
      expect(await range({ reverse: true })).toEqual([...keys].reverse());
      expect(await range({ gte: key(0, 255) })).toEqual(keys.slice(2));
      expect(await range({ lt: key(0, 255) })).toEqual(keys.slice(0, 2));
      expect(await range({ gte: key(0, 1), lt: key(128, 0) })).toEqual(keys.slice(2, 6));
      expect(await range({ gte: key(0, 1), lt: key(128, 0), reverse: true, limit: 2 })).toEqual([keys[5], keys[4]]);
      expect(await range({ limit: 3 })).toEqual(keys.slice(0, 3));
      expect(await range({ gte: key(2), lt: key(2) })).toEqual([]);
      expect(await range({ gte: key(9), lt: key(2) })).toEqual([]);
      await store.close();
    });

    it('ranges over a view of one moment, and over more than one stride', async () => {
      const store = await (await create()).open();
      const count = 2500;
      await store.write(Array.from({ length: count }, (_, i) => [key(i >> 8, i & 255), key(1)] as const));
      let seen = 0;
      for await (const [k] of store.range({})) {
        if (seen++ === 0)
          await store.write([
            [key(255, 255), key(2)],
            [key(9, 9), undefined],
          ]);
        expect(k).not.toEqual(key(255, 255));
      }
      expect(seen).toBe(count);
      for await (const _ of store.range({})) break;
      await store.close();
    });

    it('holds the same when opened again', async () => {
      const subject = await create();
      const store = await subject.open();
      await store.write([
        [key(1), key(10)],
        [key(2), key(20)],
      ]);
      await store.write([[key(2), undefined]]);
      await store.close();
      const again = await subject.open();
      expect(await collect(again.range({}))).toEqual([[key(1), key(10)]]);
      await again.close();
    });

    it('refuses everything once it is closed; closing twice is harmless', async () => {
      const store = await (await create()).open();
      await store.close();
      await store.close();
      await refusal(() => store.get(key(1)), 'KEY_VALUE_CLOSED');
      await refusal(() => store.getMany([key(1)]), 'KEY_VALUE_CLOSED');
      await refusal(() => store.write([[key(1), key(1)]]), 'KEY_VALUE_CLOSED');
      await refusal(() => collect(store.range({})), 'KEY_VALUE_CLOSED');
    });
  });
}
