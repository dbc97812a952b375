/**
 * What waits to be sent to one peer on one channel: whole frames up to a number of bytes, the oldest dropped beyond it.
 * A frame that has begun to leave is never dropped, since the other side counts on its length.
 */

/** Frames below this leave together in one copy; larger ones leave as views, by themselves. */
const GATHER_BELOW_BYTES = 4096;
const MAX_GATHERED_BYTES = 16 * 1024;

export class SendQueue {
  readonly #maxBytes: number;
  /** Frames from `#head` on; the array is compacted now and then. */
  #frames: Uint8Array[] = [];
  #head = 0;
  #bytes = 0;
  /** Bytes of the first frame that have left. */
  #offset = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get frames(): number {
    return this.#frames.length - this.#head;
  }

  /** Adds a frame; returns how many were dropped for it. A frame beyond the limit by itself is dropped at once. */
  push(frame: Uint8Array): number {
    if (frame.length > this.#maxBytes) return 1;
    this.#frames.push(frame);
    this.#bytes += frame.length;
    let dropped = 0;
    while (this.#bytes > this.#maxBytes && this.#dropOldest()) dropped++;
    if (this.#bytes <= this.#maxBytes) return dropped;
    // All that is left before it is the rest of a frame that has begun to leave.
    this.#frames.pop();
    this.#bytes -= frame.length;
    return dropped + 1;
  }

  /**
   * The next bytes to send, `maxBytes` at most, or undefined if there are none: small frames together, or a part of a
   * large one as a view.
   */
  take(maxBytes: number): Uint8Array | undefined {
    const first = this.#frames[this.#head];
    if (first === undefined) return undefined;
    const rest = first.length - this.#offset;
    if (rest >= Math.min(maxBytes, GATHER_BELOW_BYTES) || this.frames === 1) {
      const part = first.subarray(this.#offset, this.#offset + Math.min(rest, maxBytes));
      this.#advance(part.length);
      return part;
    }
    return this.#takeMany(maxBytes);
  }

  /** Forgets all; returns how many frames were not sent, or not wholly. */
  clear(): number {
    const lost = this.frames;
    this.#frames = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#offset = 0;
    return lost;
  }

  #takeMany(maxBytes: number): Uint8Array {
    const out = new Uint8Array(Math.min(maxBytes, this.#bytes, MAX_GATHERED_BYTES));
    let filled = 0;
    while (filled < out.length) {
      const frame = this.#frames[this.#head]!;
      if (filled > 0 && frame.length >= GATHER_BELOW_BYTES) break;
      const part = frame.subarray(this.#offset, this.#offset + out.length - filled);
      out.set(part, filled);
      filled += part.length;
      this.#advance(part.length);
    }
    return out.subarray(0, filled);
  }

  #advance(sentBytes: number): void {
    this.#bytes -= sentBytes;
    this.#offset += sentBytes;
    if (this.#offset < this.#frames[this.#head]!.length) return;
    this.#offset = 0;
    this.#head++;
    this.#compact();
  }

  #dropOldest(): boolean {
    const index = this.#offset > 0 ? this.#head + 1 : this.#head;
    // The newest frame stays: it was just added.
    if (index >= this.#frames.length - 1) return false;
    this.#bytes -= this.#frames[index]!.length;
    if (index === this.#head) this.#head++;
    else this.#frames.splice(index, 1);
    this.#compact();
    return true;
  }

  #compact(): void {
    if (this.#head < 64 || this.#head * 2 < this.#frames.length) return;
    this.#frames.splice(0, this.#head);
    this.#head = 0;
  }
}
