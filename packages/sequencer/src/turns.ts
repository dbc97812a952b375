/**
 * Heavy work, a little of it in each round of the event loop: votes and proposals that have arrived meanwhile are read before
 * more of it is done, however much waits. Clients' calls and peers' batches take their turns here, in the order in which they
 * came; without it, a busy node answers clients while a view times out.
 */

/** Bytes of work that wait for a turn, beyond which peers' batches are dropped: they are sent again. */
export const MAX_TURNS_WAITING_BYTES: number = 64 * 1024 * 1024;

/** What one round does: small pieces share it, since a round of a busy node takes longer than they do. */
export const MAX_TURNS_PER_ROUND = 8;
export const MAX_ROUND_BYTES: number = 32 * 1024;

interface Waiting {
  readonly bytes: number;
  /** Of them, what counts as waiting here; a client's call is bounded where it comes in. */
  readonly heldBytes: number;
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
    this.#push({ bytes, heldBytes: bytes, work });
  }

  /** Resolves when it is the caller's turn, to do something with so many bytes. */
  next(bytes: number): Promise<void> {
    return new Promise((work) => this.#push({ bytes, heldBytes: 0, work }));
  }

  #push(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#bytes += waiting.heldBytes;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      let done = 0;
      try {
        for (
          let turns = 0;
          turns < MAX_TURNS_PER_ROUND && done <= MAX_ROUND_BYTES && this.#waiting.length > 0;
          turns++
        ) {
          const { bytes, heldBytes, work } = this.#waiting.shift()!;
          this.#bytes -= heldBytes;
          done += bytes;
          work();
        }
      } finally {
        this.#schedule();
      }
    });
  }
}
