/**
 * What callers may make a server keep: bodies until they are answered, answers until they are sent. Each connection has a
 * little room of its own; what is beyond comes out of one budget of all, so that neither many connections nor large bodies
 * and answers, nor a peer that stops reading, grow the process without end.
 */

/** The bytes that all connections of one server share. */
export class SharedMemory {
  readonly #maxBytes: number;
  readonly #ownBytes: number;
  #taken = 0;

  /** `ownBytes`: what each connection has besides. */
  constructor(maxBytes: number, ownBytes: number) {
    this.#maxBytes = maxBytes;
    this.#ownBytes = ownBytes;
  }

  get takenBytes(): number {
    return this.#taken;
  }

  connection(): ConnectionMemory {
    return new ConnectionMemory(this.#ownBytes, (bytes) => this.#take(bytes));
  }

  /** Negative: gives back. */
  #take(bytes: number): boolean {
    if (bytes > 0 && this.#taken + bytes > this.#maxBytes) return false;
    this.#taken += bytes;
    return true;
  }
}

/** What one connection keeps. */
export class ConnectionMemory {
  readonly #ownBytes: number;
  readonly #takeShared: (bytes: number) => boolean;
  #bytes = 0;
  #isClosed = false;

  constructor(ownBytes: number, takeShared: (bytes: number) => boolean) {
    this.#ownBytes = ownBytes;
    this.#takeShared = takeShared;
  }

  /** For one request and its answer. */
  hold(): Held {
    return new Held((bytes) => this.#resize(bytes));
  }

  /** The connection is gone, and with it all that it made the server keep. */
  close(): void {
    this.#resize(-this.#bytes);
    this.#isClosed = true;
  }

  #resize(change: number): boolean {
    if (this.#isClosed) return true;
    const shared = (bytes: number) => Math.max(0, bytes - this.#ownBytes);
    if (!this.#takeShared(shared(this.#bytes + change) - shared(this.#bytes))) return false;
    this.#bytes += change;
    return true;
  }
}

/** What one request makes the server keep. */
export class Held {
  readonly #resize: (change: number) => boolean;
  #bytes = 0;

  constructor(resize: (change: number) => boolean) {
    this.#resize = resize;
  }

  /** False if there is no room: nothing was taken then. */
  take(bytes: number): boolean {
    if (!this.#resize(bytes)) return false;
    this.#bytes += bytes;
    return true;
  }

  /** Gives back all that was taken; may be called again. */
  release(): void {
    this.#resize(-this.#bytes);
    this.#bytes = 0;
  }
}
