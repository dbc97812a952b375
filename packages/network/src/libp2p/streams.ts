/**
 * Writing to and reading from libp2p streams with back-pressure. `stream.onDrain()` is not used: it keeps its first
 * promise for ever, so a second wait does not wait (@libp2p/utils 8); the `drain` event tells the truth.
 */

import type { Stream, StreamMessageEvent } from '@libp2p/interface';
import { decode, encode } from 'it-length-prefixed';
import { pipe } from 'it-pipe';
import { plainBytes } from '../bytes.ts';
import { YamuxStream } from './yamux-stream.ts';

/** Bytes that are handed to a stream at once, so that another stream's turn is never far. A batch of 128 KiB fits. */
export const SEND_CHUNK_BYTES = 136 * 1024;

export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** Resolves when the stream takes more; rejects when it closes or the signal aborts. */
function drained(stream: Stream, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (stream.status !== 'open') return reject(new Error('the stream is closed'));
    if (!stream.writableNeedsDrain) return resolve();
    const settle = (error?: Error) => {
      stream.removeEventListener('drain', onDrain);
      stream.removeEventListener('close', onClose);
      signal.removeEventListener('abort', onAbort);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onDrain = () => settle();
    const onClose = () => settle(new Error('the stream closed'));
    const onAbort = () => settle(toError(signal.reason));
    stream.addEventListener('drain', onDrain);
    stream.addEventListener('close', onClose);
    signal.addEventListener('abort', onAbort);
  });
}

/** Writes all bytes, never more than a chunk ahead of what the stream takes. */
export async function write(stream: Stream, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  for (let offset = 0; offset < bytes.length; offset += SEND_CHUNK_BYTES) {
    while (stream.writableNeedsDrain) await drained(stream, signal);
    stream.send(bytes.subarray(offset, offset + SEND_CHUNK_BYTES));
  }
  while (stream.writableNeedsDrain && stream.writeBufferLength > 0) await drained(stream, signal);
}

/** One message with a varint length before it. */
export async function writeMessage(stream: Stream, message: Uint8Array, signal: AbortSignal): Promise<void> {
  const framed = encode.single(message, { maxDataLength: Math.max(1, message.length) });
  const prefix = framed.subarray(0, framed.byteLength - message.length);
  await write(stream, prefix, signal);
  await write(stream, message, signal);
}

/** The one message that the other side sends. Rejects if it is longer than the limit, cut short, or late. */
export async function readMessage(stream: Stream, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const onAbort = () => stream.abort(toError(signal.reason));
  // The stream's iterator buffers without limit; no honest peer sends more than a message and its length.
  let received = 0;
  const onMessage = (event: StreamMessageEvent) => {
    received += event.data.byteLength;
    if (received > maxBytes + MAX_PREFIX_BYTES) stream.abort(new Error(`more than ${maxBytes} bytes`));
  };
  signal.throwIfAborted();
  signal.addEventListener('abort', onAbort);
  try {
    const messages = pipe(stream, (source) => decode(source, { maxDataLength: maxBytes }));
    const first = messages.next();
    stream.addEventListener('message', onMessage);
    const { value, done } = await first;
    if (done) throw new Error('the stream ended before its message');
    void messages.return();
    return plainBytes(value.subarray());
  } finally {
    signal.removeEventListener('abort', onAbort);
    stream.removeEventListener('message', onMessage);
  }
}

const MAX_PREFIX_BYTES = 16;

/** Hands over what arrives on a stream until it closes, without an event for each piece. A chunk is valid during the call. */
export function readChunks(stream: Stream, onChunk: (chunk: Uint8Array) => void): void {
  if (stream instanceof YamuxStream) return stream.readDirectly(onChunk);
  stream.addEventListener('message', ({ data }) => {
    for (const chunk of data instanceof Uint8Array ? [data] : data) onChunk(chunk);
  });
}

/** Closes the writable end, and the whole stream if that is not done in time. */
export function closeStream(stream: Stream, timeoutMs: number): void {
  stream.close({ signal: AbortSignal.timeout(timeoutMs) }).catch((error: unknown) => stream.abort(toError(error)));
}
