/** Frames that arrived on a feed and wait for its reader: an async iterable for one reader that says when to stop reading. */

export class FrameInbox implements AsyncIterable<Uint8Array> {
  readonly #maxBytes: number;
  #frames: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #wake: (() => void) | undefined;
  #resume: (() => void) | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether more is held than should be; whoever reads then pauses and passes `onRoom` what resumes it. */
  get full(): boolean {
    return this.#bytes > this.#maxBytes;
  }

  get ended(): boolean {
    return this.#ended;
  }

  push(frame: Uint8Array): void {
    if (this.#ended) return;
    this.#frames.push(frame);
    this.#bytes += frame.length;
    this.#wake?.();
  }

  onRoom(resume: () => void): void {
    this.#resume = resume;
    this.#makeRoom();
  }

  /** What was pushed before is still delivered. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
    this.#resume?.();
    this.#resume = undefined;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) {
        this.#bytes -= frame.length;
        this.#makeRoom();
        yield frame;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    }
  }

  #makeRoom(): void {
    if (this.#bytes * 2 > this.#maxBytes) return;
    this.#resume?.();
    this.#resume = undefined;
  }
}
