/** Two ends of a feed in memory, with a send window: a sender waits while the other end does not read. */

export interface MemoryStream {
  readonly peer: string;
  send(frame: Uint8Array): Promise<void>;
  frames(): AsyncIterable<Uint8Array>;
  close(): void;
  readonly closed: boolean;
}

/** Frames that may wait in one direction before `send` does. */
const WINDOW_FRAMES = 4;

/** [sequencer's end, rollup node's end]. Closing either end ends both, after what was sent has been read. */
export function streamPair(
  names: readonly [string, string] = ['rollup-node', 'sequencer'],
): [MemoryStream, MemoryStream] {
  const down = new Pipe();
  const up = new Pipe();
  const close = () => {
    down.close();
    up.close();
  };
  return [end(names[0], down, up, close), end(names[1], up, down, close)];
}

function end(peer: string, out: Pipe, into: Pipe, close: () => void): MemoryStream {
  return {
    peer,
    send: (frame) => out.send(frame),
    frames: () => into.read(),
    close,
    get closed() {
      return out.closed;
    },
  };
}

class Pipe {
  closed = false;
  readonly #frames: Uint8Array[] = [];
  #wake: (() => void)[] = [];

  async send(frame: Uint8Array): Promise<void> {
    while (this.#frames.length >= WINDOW_FRAMES && !this.closed) await this.#change();
    if (this.closed) throw new Error('the stream is closed');
    this.#frames.push(frame);
    this.#changed();
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame) {
        this.#changed();
        yield frame;
      } else if (this.closed) {
        return;
      } else {
        await this.#change();
      }
    }
  }

  close(): void {
    this.closed = true;
    this.#changed();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
