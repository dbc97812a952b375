/**
 * An encrypted connection over a TLS socket, as libp2p sees it. What is sent to a peer within one turn of the event loop,
 * and while an earlier write is on its way, leaves as one write; what is received goes straight to one reader.
 */

import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { type AbortOptions, type MessageStream, StreamStateError } from '@libp2p/interface';
import { AbstractMessageStream, type SendResult } from '@libp2p/utils';
import type { Uint8ArrayList } from 'uint8arraylist';

/** Bytes that wait for the kernel before writers are told to wait: what a vote can stand behind. A batch fits. */
const WRITE_AHEAD_BYTES = 256 * 1024;
/** Writes below this are copied together; above it OpenSSL's side of Node does so, into memory that it frees at once. */
const COPY_BELOW_BYTES = 32 * 1024;

export class SecureSocket extends AbstractMessageStream {
  readonly #transport: MessageStream;
  readonly #socket: TLSSocket;
  #outbox: Uint8Array[] = [];
  #outboxBytes = 0;
  /** Bytes of the one write that the socket has not finished. */
  #writingBytes = 0;
  #scheduled = false;
  #reader: ((chunk: Uint8Array) => void) | undefined;

  constructor(transport: MessageStream, socket: TLSSocket) {
    super({
      log: transport.log,
      inactivityTimeout: transport.inactivityTimeout,
      maxReadBufferLength: transport.maxReadBufferLength,
      direction: transport.direction,
    });
    this.#transport = transport;
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    socket.on('error', (error) => transport.abort(error));
    socket.on('close', () => void transport.close().catch((error) => transport.abort(error)));
    transport.addEventListener('close', ({ error, local }) => {
      socket.destroy();
      this.#forgetOutbox();
      if (error === undefined) this.onTransportClosed();
      else if (local) this.abort(error);
      else this.onRemoteReset();
    });
  }

  /**
   * From now on the reader is called with what arrives, in place of `message` events. A chunk is its own until it returns:
   * the memory is freed then, since waiting for the garbage collector to do it costs more than the encryption.
   */
  readDirectly(reader: (chunk: Uint8Array) => void): void {
    this.#reader = reader;
    queueMicrotask(() => this.dispatchReadBuffer());
  }

  override get writeBufferLength(): number {
    return this.#outboxBytes + this.#writingBytes;
  }

  override send(data: Uint8Array | Uint8ArrayList): boolean {
    if (this.writeStatus === 'closed' || this.writeStatus === 'closing') {
      throw new StreamStateError(`Cannot write to a stream that is ${this.writeStatus}`);
    }
    if (data instanceof Uint8Array) this.#outbox.push(data);
    else this.#outbox.push(...data);
    this.#outboxBytes += data.byteLength;
    this.#schedule();
    if (this.writeBufferLength < WRITE_AHEAD_BYTES) return true;
    this.writableNeedsDrain = true;
    return false;
  }

  async close(options?: AbortOptions): Promise<void> {
    if (!this.#socket.destroyed) {
      this.#write();
      const closed = once(this.#socket, 'close', options);
      this.#socket.destroySoon();
      await closed;
    }
    await this.#transport.close(options);
  }

  sendPause(): void {
    this.#socket.pause();
  }

  sendResume(): void {
    this.#socket.resume();
  }

  sendReset(error: Error): void {
    this.#forgetOutbox();
    this.#socket.destroy();
    this.#transport.abort(error);
  }

  /** Not reached: `send` keeps what waits itself. */
  sendData(data: Uint8ArrayList): SendResult {
    return { sentBytes: data.byteLength, canSendMore: this.send(data) };
  }

  protected override dispatchReadBuffer(): void {
    if (this.#reader !== undefined && this.readStatus === 'readable' && this.readBuffer.byteLength > 0) {
      const held = this.readBuffer.sublist();
      this.readBuffer.consume(held.byteLength);
      for (const chunk of held) this.#reader(chunk);
    }
    super.dispatchReadBuffer();
  }

  #received(chunk: Uint8Array): void {
    if (this.#reader !== undefined && this.readStatus === 'readable' && this.readBuffer.byteLength === 0) {
      this.#reader(chunk);
      free(chunk);
    } else {
      this.onData(chunk);
    }
  }

  #schedule(): void {
    // What comes while a write is on its way leaves when that is done.
    if (this.#scheduled || this.#writingBytes > 0) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      if (this.#writingBytes === 0) this.#write();
    });
  }

  #write(): void {
    const bytes = this.#outboxBytes;
    if (bytes === 0 || this.#socket.destroyed) return;
    const pieces = bytes < COPY_BELOW_BYTES && this.#outbox.length > 1 ? [Buffer.concat(this.#outbox)] : this.#outbox;
    this.#forgetOutbox();
    this.#writingBytes += bytes;
    const last = pieces.length - 1;
    if (last > 0) this.#socket.cork();
    for (let i = 0; i < last; i++) this.#socket.write(pieces[i]!);
    this.#socket.write(pieces[last]!, () => this.#written(bytes));
    if (last > 0) this.#socket.uncork();
  }

  #written(bytes: number): void {
    this.#writingBytes -= bytes;
    if (this.#writingBytes === 0) this.#write();
    if (this.writableNeedsDrain && this.writeBufferLength < WRITE_AHEAD_BYTES) this.safeDispatchEvent('drain');
  }

  #forgetOutbox(): void {
    this.#outbox = [];
    this.#outboxBytes = 0;
  }
}

/** Gives the memory back at once, unless there is more in it than the chunk. */
function free({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
