/**
 * The two ends of a validator channel: a queue that flows into a stream as fast as the stream takes it, and a reader that
 * cuts frames and pauses the stream when the peer is faster than its rate.
 */

import type { Stream } from '@libp2p/interface';
import { FrameDecoder, FramingError } from '../framing.ts';
import type { ProtocolBudget } from '../rate-limit.ts';
import { SendQueue } from '../send-queue.ts';
import { readChunks, SEND_CHUNK_BYTES, toError } from './streams.ts';

export class OutboundChannel {
  readonly #queue: SendQueue;
  readonly #maxUnsentBytes: number;
  #stream: Stream | undefined;
  #scheduled = false;

  constructor(maxQueueBytes: number, maxUnsentBytes: number) {
    this.#queue = new SendQueue(maxQueueBytes);
    this.#maxUnsentBytes = maxUnsentBytes;
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** Adds a framed message; returns how many were dropped for it. What one turn of the event loop adds leaves together. */
  push(framed: Uint8Array): number {
    const dropped = this.#queue.push(framed);
    this.#schedule();
    return dropped;
  }

  /** Flows into this stream from now on. */
  attach(stream: Stream): void {
    this.#stream = stream;
    // In a microtask: the stream sends what it holds in one of its own, which comes first, and may say no more then.
    stream.addEventListener('drain', () => this.#schedule());
    this.#schedule();
  }

  /** Forgets the stream and all that waits; returns how many frames are lost. */
  detach(): number {
    this.#stream = undefined;
    return this.#queue.clear();
  }

  #schedule(): void {
    if (this.#scheduled || this.#stream === undefined) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flow();
    });
  }

  #flow(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    while (stream.writeStatus === 'writable' && !stream.writableNeedsDrain) {
      if (stream.writeBufferLength + SEND_CHUNK_BYTES > this.#maxUnsentBytes) return;
      const chunk = this.#queue.take(SEND_CHUNK_BYTES);
      if (chunk === undefined) return;
      try {
        stream.send(chunk);
      } catch (error) {
        // The part that left cannot be told from the part that did not: the stream is of no more use.
        stream.abort(toError(error));
        return;
      }
    }
  }
}

export interface InboundOptions {
  readonly maxFrameBytes: number;
  readonly budget: ProtocolBudget;
  onFrame(frame: Uint8Array): void;
  /** The peer sent a length that no honest peer sends. The stream is closed already. */
  onBroken(error: FramingError): void;
  onPaused(): void;
}

/** Reads frames from a stream until it closes. */
export function readFrames(stream: Stream, options: InboundOptions): void {
  const decoder = new FrameDecoder(options.maxFrameBytes);
  readChunks(stream, (chunk) => {
    try {
      let frames = 0;
      for (const frame of decoder.push(chunk)) {
        frames++;
        options.onFrame(frame);
      }
      const waitMs = options.budget.take(frames, chunk.byteLength, Date.now());
      if (waitMs > 0) pauseFor(stream, waitMs, options);
    } catch (error) {
      stream.abort(toError(error));
      if (error instanceof FramingError) options.onBroken(error);
    }
  });
}

function pauseFor(stream: Stream, waitMs: number, options: InboundOptions): void {
  pauseReading(stream, (resume) => {
    options.onPaused();
    setTimeout(resume, waitMs).unref();
  });
}

/**
 * Stops reading; the peer's send window runs dry meanwhile, so what waits here is bounded by it. Calls back once it is
 * paused, with what resumes it. Not at once: `resume` delivers what waited and only then opens the window, so a pause from
 * within that delivery would be half undone.
 */
export function pauseReading(stream: Stream, onPaused: (resume: () => void) => void): void {
  queueMicrotask(() => {
    if (stream.readStatus !== 'readable') return;
    stream.pause();
    onPaused(() => resumeReading(stream));
  });
}

/** `resume` throws if the connection closed under a stream that does not know it yet. */
export function resumeReading(stream: Stream): void {
  if (stream.readStatus !== 'paused') return;
  try {
    stream.resume();
  } catch (error) {
    stream.abort(toError(error));
  }
}
