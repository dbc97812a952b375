/**
 * The log in memory, for simulations and tests. `crash` is what a power failure does to the log on disk: what was not
 * synced is gone, but for a number of frames that happened to reach the disk.
 */

import { concatBytes } from '@squad/types';
import type { Log, LogPosition, LogRecord, PositionedRecord, RecordToAppend } from '../api.ts';
import { logClosed, logPosition, logPruned } from '../errors.ts';
import { SEGMENT_BYTES } from '../limits.ts';
import { FRAME_HEADER_BYTES, frameByteLength, RECORD_HEADER_BYTES } from './frame.ts';

interface MemoryFrame {
  readonly end: LogPosition;
  readonly records: readonly PositionedRecord[];
}

export interface MemoryLogOptions {
  /** Pruning takes frames away in groups of this many bytes, as the log on disk does by files. */
  readonly segmentBytes?: number;
}

const DIRECTORY = '(memory)';

export class MemoryLog implements Log {
  readonly #segmentBytes: number;
  #frames: MemoryFrame[] = [];
  #segmentBases: LogPosition[] = [0];
  #byPosition = new Map<LogPosition, LogRecord>();
  #end: LogPosition = 0;
  #durable: LogPosition = 0;
  #isClosed = false;

  constructor(options: MemoryLogOptions = {}) {
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
  }

  get start(): LogPosition {
    return this.#segmentBases[0]!;
  }

  get end(): LogPosition {
    return this.#end;
  }

  append(records: readonly RecordToAppend[]): LogPosition[] {
    this.#refuseIfClosed();
    if (records.length === 0) return [];
    const byteLength = frameByteLength(records);
    const segmentBase = this.#segmentBases.at(-1)!;
    if (this.#end > segmentBase && this.#end - segmentBase + byteLength > this.#segmentBytes)
      this.#segmentBases.push(this.#end);
    let position = this.#end + FRAME_HEADER_BYTES;
    const positioned = records.map(({ kind, head = new Uint8Array(), payload }) => {
      const record = { kind, payload: concatBytes(head, payload), position };
      position += RECORD_HEADER_BYTES + record.payload.length;
      return record;
    });
    this.#end += byteLength;
    this.#keep({ end: this.#end, records: positioned });
    return positioned.map((record) => record.position);
  }

  async sync(): Promise<void> {
    this.#refuseIfClosed();
    const through = this.#end;
    await Promise.resolve();
    this.#refuseIfClosed();
    this.#durable = Math.max(this.#durable, through);
  }

  async read(position: LogPosition): Promise<LogRecord> {
    this.#refuseIfClosed();
    if (position < this.start) throw logPruned(position, this.start);
    const record = this.#byPosition.get(position);
    if (record === undefined) throw logPosition(position, this.#end);
    return { kind: record.kind, payload: record.payload };
  }

  async readMany(positions: readonly LogPosition[]): Promise<(LogRecord | undefined)[]> {
    return Promise.all(positions.map((position) => (position < this.start ? undefined : this.read(position))));
  }

  async *replay(from: LogPosition): AsyncIterable<PositionedRecord> {
    this.#refuseIfClosed();
    for (const frame of this.#frames.slice()) {
      if (frame.end > from) yield* frame.records.filter((record) => record.position >= from);
    }
  }

  async pruneBefore(position: LogPosition): Promise<void> {
    this.#refuseIfClosed();
    while (this.#segmentBases.length > 1 && this.#segmentBases[1]! <= position) this.#segmentBases.shift();
    const kept = this.#frames.filter((frame) => frame.end > this.start);
    for (const frame of this.#frames.slice(0, this.#frames.length - kept.length)) {
      for (const record of frame.records) this.#byPosition.delete(record.position);
    }
    this.#frames = kept;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  /**
   * Ends this log as a power failure would, and returns what the next start finds: all that was synced, and the first
   * `keptFrames` of the frames that were not.
   */
  crash(keptFrames: number = 0): MemoryLog {
    this.#isClosed = true;
    const next = new MemoryLog({ segmentBytes: this.#segmentBytes });
    let unsynced = 0;
    next.#end = this.#frames.length === 0 ? this.#end : this.start;
    for (const frame of this.#frames) {
      if (frame.end > this.#durable && unsynced++ >= keptFrames) break;
      next.#keep(frame);
      next.#end = frame.end;
    }
    next.#durable = next.#end;
    next.#segmentBases = this.#segmentBases.filter((base, index) => index === 0 || base < next.#end);
    return next;
  }

  /** What a start after an orderly end finds. */
  reopen(): MemoryLog {
    return this.crash(this.#frames.length);
  }

  #keep(frame: MemoryFrame): void {
    this.#frames.push(frame);
    for (const record of frame.records) this.#byPosition.set(record.position, record);
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw logClosed(DIRECTORY);
  }
}
