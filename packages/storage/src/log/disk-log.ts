/**
 * The log on disk. `append` only encodes and queues; one loop hands what is queued to the operating system, in order and
 * many buffers a call, and syncs when somebody waits for it. All who wait at that moment share the fsync.
 */

import { randomBytes } from 'node:crypto';
import { writevSync } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { SquadError } from '@squad/types';
import type { Log, LogPosition, LogRecord, PositionedRecord, RecordToAppend } from '../api.ts';
import {
  folderUnusable,
  logBacklog,
  logClosed,
  logCorrupt,
  logPosition,
  logPruned,
  logWriteFailed,
  storeLogLost,
  systemCode,
} from '../errors.ts';
import { ensureDirectory, syncDirectory } from '../files.ts';
import { MAX_PENDING_BYTES, MAX_RECORD_BYTES, SEGMENT_BYTES } from '../limits.ts';
import { type FolderLock, lockFolder } from '../lock.ts';
import { decodeRecordHeader, encodeFrame, frameByteLength, RECORD_HEADER_BYTES, SALT_BYTES } from './frame.ts';
import { recoverLog, type TornTail } from './recover.ts';
import {
  createSegment,
  encodeSegmentHeader,
  readFrame,
  SEGMENT_HEADER_BYTES,
  type Segment,
  WindowReader,
} from './segment.ts';

/** The two calls whose failure must be survived; tests hand in ones that fail. */
export interface LogFileCalls {
  /** Bytes written: maybe fewer than given. */
  write(handle: FileHandle, buffers: readonly Uint8Array[], offset: number): Promise<number>;
  sync(handle: FileHandle): Promise<void>;
}

export interface LogOptions {
  readonly directory: string;
  /** Bytes after which a new segment file is begun. Default `SEGMENT_BYTES`. */
  readonly segmentBytes?: number;
  /** There was a log: that there is none now is a fault. */
  readonly mustExist?: boolean;
  /** Checks every frame of every segment when opening, not of the last one only. */
  readonly verifyAll?: boolean;
  /** Told what a crash had left half-written and was cut off. */
  readonly onTornTail?: (tail: TornTail) => void;
  /** Told once when writing has failed, after which the log refuses everything. */
  readonly onFailure?: (error: SquadError) => void;
  readonly calls?: LogFileCalls;
}

interface QueuedFrame {
  readonly segment: Segment;
  readonly buffers: readonly Uint8Array[];
  readonly byteLength: number;
}

interface SyncWaiter {
  readonly target: LogPosition;
  resolve(): void;
  reject(error: unknown): void;
}

/** What is read at once when many records are asked for: a batch of the usual size, and those around it. */
const SCATTERED_READ_AHEAD_BYTES = 128 * 1024;
/** What the operating system takes in one call (IOV_MAX). */
const MAX_BUFFERS_PER_WRITE = 1024;

/** A small write only copies into the operating system's memory: to hand it to a thread and back takes longer than it does. */
const MAX_DIRECT_WRITE_BYTES = 64 * 1024;

const SYSTEM_CALLS: LogFileCalls = {
  write: async (handle, buffers, offset) => {
    let bytes = 0;
    for (const { length } of buffers) bytes += length;
    if (bytes <= MAX_DIRECT_WRITE_BYTES) return writevSync(handle.fd, buffers as Uint8Array[], offset);
    return (await handle.writev(buffers as Uint8Array[], offset)).bytesWritten;
  },
  sync: (handle) => handle.datasync(),
};

/**
 * Opens or creates the log of a folder. Throws SquadErrors: `FOLDER_LOCKED`, `FOLDER_UNUSABLE`, `LOG_CORRUPT`,
 * `LOG_VERSION`, `STORE_LOG_LOST`.
 */
export async function openLog(options: LogOptions): Promise<DiskLog> {
  await ensureDirectory(options.directory);
  const lock = await lockFolder(options.directory);
  try {
    const recovered = await recoverLog(options.directory, options.verifyAll ?? false);
    const isThere = recovered.segments.length > 0 || recovered.unbegun !== undefined;
    if (options.mustExist === true && !isThere) throw storeLogLost(options.directory);
    if (recovered.tornTail !== undefined) options.onTornTail?.(recovered.tornTail);
    return await DiskLog.create(options, lock, recovered.segments, recovered.unbegun);
  } catch (error) {
    await lock.release();
    throw error instanceof SquadError ? error : folderUnusable(options.directory, error);
  }
}

export class DiskLog implements Log {
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #calls: LogFileCalls;
  readonly #onFailure: ((error: SquadError) => void) | undefined;
  readonly #lock: FolderLock;
  /** Ascending; the last one is appended to. */
  readonly #segments: Segment[];
  #queue: QueuedFrame[] = [];
  #queuedBytes = 0;
  #writing: { segment: Segment; handle: FileHandle };
  #written: LogPosition;
  #durable: LogPosition;
  #waiters: SyncWaiter[] = [];
  #pump: Promise<void> | undefined;
  #failure: SquadError | undefined;
  #closing: Promise<void> | undefined;

  /** Use `openLog`. */
  static async create(
    options: LogOptions,
    lock: FolderLock,
    segments: Segment[],
    unbegun: LogPosition | undefined,
  ): Promise<DiskLog> {
    const last = segments.at(-1);
    if (last !== undefined && unbegun === undefined) {
      const handle = await open(last.path, 'r+');
      // What a killed process had written and not synced was just found whole; from now on it counts as durable.
      await handle.datasync();
      return new DiskLog(options, lock, segments, { segment: last, handle });
    }
    const first = createSegment(options.directory, unbegun ?? 0, randomBytes(SALT_BYTES), SEGMENT_HEADER_BYTES);
    segments.push(first);
    return new DiskLog(options, lock, segments, {
      segment: first,
      handle: await beginSegment(options.directory, first),
    });
  }

  private constructor(
    options: LogOptions,
    lock: FolderLock,
    segments: Segment[],
    writing: { segment: Segment; handle: FileHandle },
  ) {
    this.#directory = options.directory;
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    this.#calls = options.calls ?? SYSTEM_CALLS;
    this.#onFailure = options.onFailure;
    this.#lock = lock;
    this.#segments = segments;
    this.#writing = writing;
    this.#written = this.end;
    this.#durable = this.end;
  }

  get start(): LogPosition {
    return this.#segments[0]!.base;
  }

  get end(): LogPosition {
    const last = this.#segments.at(-1)!;
    return last.base + last.byteLength;
  }

  append(records: readonly RecordToAppend[]): LogPosition[] {
    this.#refuseIfUnusable();
    if (records.length === 0) return [];
    const byteLength = frameByteLength(records);
    if (this.#queuedBytes + byteLength > MAX_PENDING_BYTES) {
      throw logBacklog(this.#queuedBytes + byteLength, MAX_PENDING_BYTES);
    }
    const segment = this.#segmentFor(byteLength);
    const frame = encodeFrame(segment.checksum, this.end, records, byteLength);
    segment.byteLength += byteLength;
    this.#queue.push({ segment, buffers: frame.buffers, byteLength });
    this.#queuedBytes += byteLength;
    this.#startPump();
    return frame.positions;
  }

  async sync(): Promise<void> {
    this.#refuseIfUnusable();
    await this.#syncThrough(this.end);
  }

  async read(position: LogPosition): Promise<LogRecord> {
    this.#refuseIfUnusable();
    if (position < this.start) throw logPruned(position, this.start);
    const segment = this.#segmentAt(position);
    if (segment === undefined || !Number.isSafeInteger(position)) throw logPosition(position, this.end);
    if (position >= this.#written) await this.#syncThrough(this.end);
    const handle = await this.#openForReading(segment);
    try {
      return await readRecordIn(new WindowReader(handle, segment.byteLength, 0), segment, position);
    } finally {
      await handle.close();
    }
  }

  async readMany(positions: readonly LogPosition[]): Promise<(LogRecord | undefined)[]> {
    this.#refuseIfUnusable();
    if (positions.some((position) => position >= this.#written)) await this.#syncThrough(this.end);
    const records = new Array<LogRecord | undefined>(positions.length);
    const bySegment = new Map<Segment, number[]>();
    for (const [index, position] of positions.entries()) {
      if (position < this.start) continue;
      const segment = this.#segmentAt(position);
      if (segment === undefined || !Number.isSafeInteger(position)) throw logPosition(position, this.end);
      const indexes = bySegment.get(segment);
      if (indexes) indexes.push(index);
      else bySegment.set(segment, [index]);
    }
    for (const [segment, indexes] of bySegment) {
      indexes.sort((a, b) => positions[a]! - positions[b]!);
      try {
        const handle = await this.#openForReading(segment);
        try {
          const reader = new WindowReader(handle, segment.byteLength, SCATTERED_READ_AHEAD_BYTES);
          for (const index of indexes) records[index] = await readRecordIn(reader, segment, positions[index]!);
        } finally {
          await handle.close();
        }
      } catch (error) {
        // It was pruned meanwhile.
        if (!(error instanceof SquadError && error.code === 'LOG_PRUNED')) throw error;
      }
    }
    return records;
  }

  async *replay(from: LogPosition): AsyncIterable<PositionedRecord> {
    this.#refuseIfUnusable();
    const end = this.end;
    const segments = this.#segments
      .filter((segment) => segment.base + segment.byteLength > from)
      .map((segment) => ({ segment, byteLength: segment.byteLength }));
    if (this.#written < end) await this.#syncThrough(end);
    for (const { segment, byteLength } of segments) {
      const handle = await this.#openForReading(segment);
      try {
        const reader = new WindowReader(handle, byteLength);
        for (let offset = SEGMENT_HEADER_BYTES; offset < byteLength; ) {
          const read = await readFrame(reader, segment, offset, from);
          if (read.type === 'fault') throw logCorrupt(segment.path, offset, read.fault);
          if (read.type === 'frame') yield* read.records.filter((record) => record.position >= from);
          offset = read.endOffset;
        }
      } finally {
        await handle.close();
      }
    }
  }

  async pruneBefore(position: LogPosition): Promise<void> {
    this.#refuseIfUnusable();
    let count = 0;
    // The oldest file goes first, so that a crash between two leaves a log without gaps.
    while (this.#segments.length > 1 && this.#segments[1]!.base <= position) {
      // The segment being written to, and those queued, are not on disk as a whole yet.
      if (this.#segments[1]!.base > this.#writing.segment.base) break;
      const [oldest] = this.#segments.splice(0, 1);
      await unlink(oldest!.path);
      count++;
    }
    if (count > 0) await syncDirectory(this.#directory);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      if (this.#failure === undefined) await this.#syncThrough(this.end);
    } finally {
      await this.#pump;
      await this.#writing.handle.close();
      await this.#lock.release();
    }
  }

  #refuseIfUnusable(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closing !== undefined) throw logClosed(this.#directory);
  }

  #segmentFor(byteLength: number): Segment {
    const last = this.#segments.at(-1)!;
    if (last.byteLength + byteLength <= this.#segmentBytes || last.byteLength === SEGMENT_HEADER_BYTES) return last;
    const next = createSegment(this.#directory, this.end, randomBytes(SALT_BYTES), SEGMENT_HEADER_BYTES);
    this.#segments.push(next);
    return next;
  }

  #segmentAt(position: LogPosition): Segment | undefined {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#segments[middle]!.base <= position) low = middle + 1;
      else high = middle;
    }
    const segment = this.#segments[low - 1];
    if (segment === undefined) return undefined;
    const offset = position - segment.base;
    return offset >= SEGMENT_HEADER_BYTES && offset + RECORD_HEADER_BYTES <= segment.byteLength ? segment : undefined;
  }

  async #openForReading(segment: Segment): Promise<FileHandle> {
    try {
      return await open(segment.path, 'r');
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw folderUnusable(segment.path, error);
      if (segment.base < this.start) throw logPruned(segment.base, this.start);
      throw logCorrupt(segment.path, 0, 'the file is gone');
    }
  }

  #syncThrough(target: LogPosition): Promise<void> {
    if (target <= this.#durable) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ target, resolve, reject });
      this.#startPump();
    });
  }

  /** On a microtask, so that all that is appended in one run of code is written in one call. */
  #startPump(): void {
    this.#pump ??= Promise.resolve().then(() => this.#run());
  }

  async #run(): Promise<void> {
    while (this.#failure === undefined) {
      if (this.#waiters.some((waiter) => waiter.target <= this.#written)) await this.#syncFile();
      else if (this.#queue.length > 0) await this.#writeQueued();
      else break;
    }
    // In the same run of code as the look at the queue: what comes next must find the loop either running or gone.
    this.#pump = undefined;
  }

  /** Writes what is queued for one segment. */
  async #writeQueued(): Promise<void> {
    const { segment } = this.#queue[0]!;
    try {
      if (segment !== this.#writing.segment) await this.#goOnIn(segment);
      const { buffers, byteLength } = this.#takeQueued(segment);
      await this.#writeAll(buffers, this.#written - segment.base);
      this.#written += byteLength;
      this.#queuedBytes -= byteLength;
    } catch (error) {
      this.#fail(logWriteFailed('write', segment.path, error));
    }
  }

  #takeQueued(segment: Segment): { buffers: Uint8Array[]; byteLength: number } {
    const buffers: Uint8Array[] = [];
    let byteLength = 0;
    let count = 0;
    for (const frame of this.#queue) {
      const isFull = count > 0 && buffers.length + frame.buffers.length > MAX_BUFFERS_PER_WRITE;
      if (frame.segment !== segment || isFull) break;
      buffers.push(...frame.buffers);
      byteLength += frame.byteLength;
      count++;
    }
    this.#queue.splice(0, count);
    return { buffers, byteLength };
  }

  async #writeAll(buffers: readonly Uint8Array[], offset: number): Promise<void> {
    let rest = buffers;
    let at = offset;
    while (rest.length > 0) {
      const written = await this.#calls.write(this.#writing.handle, rest.slice(0, MAX_BUFFERS_PER_WRITE), at);
      if (written === 0) throw Object.assign(new Error('the disk took no bytes'), { code: 'EIO' });
      at += written;
      rest = dropBytes(rest, written);
    }
  }

  /** Everything before a segment is durable before the segment exists: damage in an older one is never a crash's doing. */
  async #goOnIn(segment: Segment): Promise<void> {
    await this.#calls.sync(this.#writing.handle);
    await this.#writing.handle.close();
    this.#writing = { segment, handle: await beginSegment(this.#directory, segment) };
    this.#written = segment.base + SEGMENT_HEADER_BYTES;
  }

  async #syncFile(): Promise<void> {
    const through = this.#written;
    try {
      await this.#calls.sync(this.#writing.handle);
    } catch (error) {
      this.#fail(logWriteFailed('sync', this.#writing.segment.path, error));
      return;
    }
    this.#durable = through;
    const served = this.#waiters.filter((waiter) => waiter.target <= through);
    this.#waiters = this.#waiters.filter((waiter) => waiter.target > through);
    for (const waiter of served) waiter.resolve();
  }

  #fail(error: SquadError): void {
    this.#failure = error;
    this.#queue = [];
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
    this.#onFailure?.(error);
  }
}

async function beginSegment(directory: string, segment: Segment): Promise<FileHandle> {
  const handle = await open(segment.path, 'w+');
  await handle.write(encodeSegmentHeader(segment.base, segment.salt), 0, SEGMENT_HEADER_BYTES, 0);
  await handle.sync();
  await syncDirectory(directory);
  return handle;
}

async function readRecordIn(reader: WindowReader, segment: Segment, position: LogPosition): Promise<LogRecord> {
  const offset = position - segment.base;
  const head = await reader.bytes(offset, RECORD_HEADER_BYTES);
  if (head === undefined) throw logCorrupt(segment.path, offset, 'the file ends within a record');
  const { payloadBytes, kind, expectedChecksum } = decodeRecordHeader(head, 0);
  if (payloadBytes > MAX_RECORD_BYTES || offset + RECORD_HEADER_BYTES + payloadBytes > segment.byteLength) {
    throw logCorrupt(segment.path, offset, 'what stands there is not a record');
  }
  const payload = await reader.bytes(offset + RECORD_HEADER_BYTES, payloadBytes);
  if (payload === undefined || segment.checksum(position, payloadBytes, kind, payload) !== expectedChecksum) {
    throw logCorrupt(segment.path, offset, "the record's checksum is wrong");
  }
  // The reader's window is much larger than what may be kept of it.
  return { kind, payload: payload.slice() };
}

function dropBytes(buffers: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let index = 0;
  let left = count;
  while (index < buffers.length && left >= buffers[index]!.length) left -= buffers[index++]!.length;
  if (index === buffers.length) return [];
  return [buffers[index]!.subarray(left), ...buffers.slice(index + 1)];
}
