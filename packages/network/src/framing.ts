/**
 * Frames on a byte stream: a little-endian uint32 length, 1 to the limit, then that many bytes. What the decoder is given
 * is copied once, into the frame that it belongs to. It holds little more than what came of the frame at hand, so a length
 * without its bytes costs nothing to speak of.
 */

import { uninitializedBytes } from './bytes.ts';

const HEADER_BYTES = 4;
/** Room that is made for a frame at once; a longer one gets more as its bytes come. A batch fits. */
const FIRST_ROOM_BYTES = 136 * 1024;

/** One contiguous buffer, ready to be sent to any number of peers. */
export function encodeFrame(payload: Uint8Array): Uint8Array {
  const framed = uninitializedBytes(HEADER_BYTES + payload.length);
  new DataView(framed.buffer).setUint32(0, payload.length, true);
  framed.set(payload, HEADER_BYTES);
  return framed;
}

/** The other side broke the framing: a length of 0, or beyond the limit. */
export class FramingError extends Error {
  readonly frameBytes: number;

  constructor(frameBytes: number, maxFrameBytes: number) {
    super(`a frame of ${frameBytes} bytes, not within 1 to ${maxFrameBytes}`);
    this.name = 'FramingError';
    this.frameBytes = frameBytes;
  }
}

export class FrameDecoder {
  readonly #maxFrameBytes: number;
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  /** Payload length of the frame at hand; 0 before its header is whole. */
  #length = 0;
  /** Where the frame at hand is put together, and how much of it is. */
  #frame = NONE;
  #filled = 0;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Bytes held of a frame that is not whole. */
  get bufferedBytes(): number {
    return this.#headerBytes + this.#filled;
  }

  /**
   * The frames that are whole with this chunk, which may be used for something else afterwards. Throws `FramingError`
   * before it keeps bytes of a frame that is too long.
   */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#length === 0) {
        offset += this.#takeHeader(chunk, offset);
        continue;
      }
      const taken = Math.min(chunk.length - offset, this.#length - this.#filled);
      this.#makeRoom(this.#filled + taken);
      this.#frame.set(chunk.subarray(offset, offset + taken), this.#filled);
      this.#filled += taken;
      offset += taken;
      if (this.#filled < this.#length) return;
      const frame = this.#frame;
      this.#frame = NONE;
      this.#length = 0;
      this.#filled = 0;
      yield frame;
    }
  }

  /** Returns how many bytes of the chunk belong to the header. */
  #takeHeader(chunk: Uint8Array, offset: number): number {
    const taken = Math.min(chunk.length - offset, HEADER_BYTES - this.#headerBytes);
    for (let i = 0; i < taken; i++) this.#header[this.#headerBytes + i] = chunk[offset + i]!;
    this.#headerBytes += taken;
    if (this.#headerBytes < HEADER_BYTES) return taken;
    this.#headerBytes = 0;
    const length = new DataView(this.#header.buffer).getUint32(0, true);
    if (length === 0 || length > this.#maxFrameBytes) throw new FramingError(length, this.#maxFrameBytes);
    this.#length = length;
    return taken;
  }

  #makeRoom(bytes: number): void {
    if (bytes <= this.#frame.length) return;
    const room = Math.min(this.#length, Math.max(FIRST_ROOM_BYTES, bytes, 2 * this.#frame.length));
    const frame = uninitializedBytes(room);
    frame.set(this.#frame.subarray(0, this.#filled));
    this.#frame = frame;
  }
}

const NONE = new Uint8Array(0);
