/**
 * Heavy work, one piece in each round of the event loop: votes and proposals that have arrived meanwhile are read before the
 * next piece, however much of it waits. Clients' calls and peers' batches take their turns here, in the order in which they
 * came; without it, a busy node answers clients while a view times out.
 */

/** Bytes of work that wait for a turn, beyond which peers' batches are dropped: they are sent again. */
export const MAX_TURNS_WAITING_BYTES: number = 64 * 1024 * 1024;

interface Waiting {
  readonly bytes: number;
  readonly work: () => void;
}

export class Turns {
  readonly #waiting: Waiting[] = [];
  #bytes = 0;
  #isScheduled = false;

  /** Of the work that waits. */
  get bytes(): number {
    return this.#bytes;
  }

  hasRoomFor(bytes: number): boolean {
    return this.#bytes + bytes <= MAX_TURNS_WAITING_BYTES;
  }

  /** Calls back when it is this work's turn. `bytes`: what it holds while it waits. */
  take(bytes: number, work: () => void): void {
    this.#waiting.push({ bytes, work });
    this.#bytes += bytes;
    this.#schedule();
  }

  /** Resolves when it is the caller's turn. */
  next(bytes: number): Promise<void> {
    return new Promise((resolve) => this.take(bytes, resolve));
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      const { bytes, work } = this.#waiting.shift()!;
      this.#bytes -= bytes;
      try {
        work();
      } finally {
        this.#schedule();
      }
    });
  }
}
