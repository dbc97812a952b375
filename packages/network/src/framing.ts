/**
 * Frames on a byte stream: a little-endian uint32 length, 1 to the limit, then that many bytes. The decoder holds no more
 * than what was received of the frame at hand, so a length without its bytes costs nothing.
 */

import { copyBytes, plainBytes } from './bytes.ts';

const HEADER_BYTES = 4;
/** Frames below this are copied out of the chunk they came in, so that a kept vote does not keep a chunk of bodies alive. */
const COPY_BELOW_BYTES = 4096;
/** Chunks below this are gathered, so that a frame sent byte by byte is not held as an object for each byte. */
const GATHER_BELOW_BYTES = 1024;
const GATHER_BLOCK_BYTES = 16 * 1024;

/** One contiguous buffer, ready to be sent to any number of peers. */
export function encodeFrame(payload: Uint8Array): Uint8Array {
  const framed = new Uint8Array(HEADER_BYTES + payload.length);
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
  #chunks: Uint8Array[] = [];
  #buffered = 0;
  /** Where small chunks are gathered, and how much of it is used. */
  #block = new Uint8Array(0);
  #blockUsed = 0;
  /** Payload length of the frame at hand; undefined before its header is whole. */
  #length: number | undefined;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Bytes held of a frame that is not whole. */
  get bufferedBytes(): number {
    return this.#buffered;
  }

  /** The frames that are whole with this chunk. Throws `FramingError` before it keeps bytes of a frame that is too long. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    this.#append(plainBytes(chunk));
    for (;;) {
      if (this.#length === undefined) {
        if (this.#buffered < HEADER_BYTES) return;
        const header = this.#take(HEADER_BYTES);
        const length = new DataView(header.buffer, header.byteOffset, HEADER_BYTES).getUint32(0, true);
        if (length === 0 || length > this.#maxFrameBytes) throw new FramingError(length, this.#maxFrameBytes);
        this.#length = length;
      }
      if (this.#buffered < this.#length) return;
      const frame = this.#take(this.#length);
      this.#length = undefined;
      yield frame;
    }
  }

  #append(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#buffered += chunk.length;
    const last = this.#chunks.at(-1);
    if (last === undefined || chunk.length >= GATHER_BELOW_BYTES) {
      this.#chunks.push(chunk);
      return;
    }
    if (this.#blockUsed + chunk.length > this.#block.length) {
      this.#block = new Uint8Array(GATHER_BLOCK_BYTES);
      this.#blockUsed = 0;
    }
    const start = this.#blockUsed;
    this.#block.set(chunk, start);
    this.#blockUsed += chunk.length;
    const follows = last.buffer === this.#block.buffer && last.byteOffset + last.length === start;
    if (follows) this.#chunks[this.#chunks.length - 1] = this.#block.subarray(last.byteOffset, this.#blockUsed);
    else this.#chunks.push(this.#block.subarray(start, this.#blockUsed));
  }

  /** The next bytes: a view if one chunk holds them and they are many, else a copy. */
  #take(length: number): Uint8Array {
    this.#buffered -= length;
    const first = this.#chunks[0]!;
    if (first.length >= length) {
      if (first.length === length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(length);
      return length < COPY_BELOW_BYTES ? copyBytes(first.subarray(0, length)) : first.subarray(0, length);
    }
    return this.#gather(length);
  }

  #gather(length: number): Uint8Array {
    const out = new Uint8Array(length);
    let filled = 0;
    let used = 0;
    while (filled < length) {
      const chunk = this.#chunks[used]!;
      const wanted = length - filled;
      if (chunk.length > wanted) {
        out.set(chunk.subarray(0, wanted), filled);
        this.#chunks[used] = chunk.subarray(wanted);
        break;
      }
      out.set(chunk, filled);
      filled += chunk.length;
      used++;
    }
    this.#chunks.splice(0, used);
    return out;
  }
}
