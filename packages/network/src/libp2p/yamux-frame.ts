/** Frames of yamux: 12 bytes of header, and the payload of data frames. https://github.com/hashicorp/yamux/blob/master/spec.md */

export const HEADER_BYTES = 12;
/** What each stream may receive before the first update, by the specification. */
export const INITIAL_WINDOW_BYTES = 256 * 1024;

export const FRAME_TYPE = { data: 0, windowUpdate: 1, ping: 2, goAway: 3 } as const;
export const FLAG = { syn: 1, ack: 2, fin: 4, rst: 8 } as const;
export const GO_AWAY = { normal: 0, protocolError: 1, internalError: 2 } as const;

export interface FrameHeader {
  readonly type: number;
  readonly flags: number;
  /** 0 for pings and farewells: the connection itself. */
  readonly streamId: number;
  /** Bytes of data; bytes that a window grows by; the number of a ping; the reason of a farewell. */
  readonly length: number;
}

/** The peer sent what the protocol does not allow. */
export class YamuxError extends Error {
  override readonly name = 'YamuxError';
}

export function encodeHeader(type: number, flags: number, streamId: number, length: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  bytes[1] = type;
  bytes[2] = flags >>> 8;
  bytes[3] = flags;
  bytes[4] = streamId >>> 24;
  bytes[5] = streamId >>> 16;
  bytes[6] = streamId >>> 8;
  bytes[7] = streamId;
  bytes[8] = length >>> 24;
  bytes[9] = length >>> 16;
  bytes[10] = length >>> 8;
  bytes[11] = length;
  return bytes;
}

function decodeHeader(bytes: Uint8Array, offset: number): FrameHeader {
  if (bytes[offset] !== 0) throw new YamuxError(`version ${bytes[offset]}, not 0`);
  return {
    type: bytes[offset + 1]!,
    flags: (bytes[offset + 2]! << 8) | bytes[offset + 3]!,
    streamId: uint32(bytes, offset + 4),
    length: uint32(bytes, offset + 8),
  };
}

function uint32(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!) >>> 0;
}

export interface FrameReceiver {
  /** A header came; the payload of a data frame follows. */
  onHeader(header: FrameHeader): void;
  /** A part of the payload of the last header's frame: a view; `last` with the end of the frame. */
  onPayload(part: Uint8Array, last: boolean): void;
}

/** Cuts what arrives into headers and parts of payloads. It holds 11 bytes at most. */
export class FrameParser {
  readonly #receiver: FrameReceiver;
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  /** Bytes of the payload at hand that are still to come. */
  #rest = 0;

  constructor(receiver: FrameReceiver) {
    this.#receiver = receiver;
  }

  /** Throws `YamuxError`, and what the receiver throws. */
  push(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#rest > 0) {
        const end = Math.min(chunk.length, offset + this.#rest);
        this.#rest -= end - offset;
        this.#receiver.onPayload(chunk.subarray(offset, end), this.#rest === 0);
        offset = end;
      } else if (this.#headerBytes === 0 && chunk.length - offset >= HEADER_BYTES) {
        this.#begin(decodeHeader(chunk, offset));
        offset += HEADER_BYTES;
      } else {
        const end = Math.min(chunk.length, offset + HEADER_BYTES - this.#headerBytes);
        this.#header.set(chunk.subarray(offset, end), this.#headerBytes);
        this.#headerBytes += end - offset;
        offset = end;
        if (this.#headerBytes < HEADER_BYTES) return;
        this.#headerBytes = 0;
        this.#begin(decodeHeader(this.#header, 0));
      }
    }
  }

  #begin(header: FrameHeader): void {
    if (header.type === FRAME_TYPE.data) this.#rest = header.length;
    this.#receiver.onHeader(header);
    // An empty frame still has an end: it may carry flags.
    if (header.type === FRAME_TYPE.data && header.length === 0) this.#receiver.onPayload(EMPTY, true);
  }
}

const EMPTY = new Uint8Array(0);
