/**
 * One stream of a yamux connection. It goes by the specification and differs from `@libp2p/yamux` in what it costs: the
 * window is opened again when half of it is used, not after each frame, and what arrives can go to a reader without an
 * event for each piece.
 */

import type { Logger } from '@libp2p/interface';
import { AbstractStream, type SendResult } from '@libp2p/utils';
import type { Uint8ArrayList } from 'uint8arraylist';
import { copyBytes } from '../bytes.ts';
import { FLAG, INITIAL_WINDOW_BYTES, YamuxError } from './yamux-frame.ts';

/** What a stream needs of its connection. */
export interface YamuxSender {
  /** False if nobody should send more until the connection drains. */
  sendData(flags: number, streamId: number, data: Uint8Array | Uint8ArrayList): boolean;
  sendWindowUpdate(flags: number, streamId: number, bytes: number): void;
  readonly saturated: boolean;
}

export interface YamuxStreamInit {
  readonly streamId: number;
  readonly direction: 'inbound' | 'outbound';
  readonly sender: YamuxSender;
  readonly maxWindowBytes: number;
  readonly maxReadBufferLength: number;
  readonly log: Logger;
}

export class YamuxStream extends AbstractStream {
  readonly streamId: number;
  readonly #sender: YamuxSender;
  readonly #maxWindowBytes: number;
  /** The flag that the next frame carries: the first one opens the stream, or says that it is taken. */
  #openingFlag: number;
  /** Bytes that the other side takes now. */
  #sendWindow = INITIAL_WINDOW_BYTES;
  /** Bytes that this side takes in all before it opens the window again, and those left of them. */
  #receiveWindow = INITIAL_WINDOW_BYTES;
  #receivable = INITIAL_WINDOW_BYTES;
  #reader: ((chunk: Uint8Array) => void) | undefined;

  constructor({ streamId, direction, sender, maxWindowBytes, maxReadBufferLength, log }: YamuxStreamInit) {
    super({ id: String(streamId), log, direction, maxReadBufferLength });
    this.streamId = streamId;
    this.#sender = sender;
    this.#maxWindowBytes = maxWindowBytes;
    this.#openingFlag = direction === 'outbound' ? FLAG.syn : FLAG.ack;
  }

  /** From now on the reader is called with what arrives, in place of `message` events. A chunk is its own until it returns. */
  readDirectly(reader: (chunk: Uint8Array) => void): void {
    this.#reader = reader;
    queueMicrotask(() => this.dispatchReadBuffer());
  }

  /** Tells the other side of the stream, or that it is taken. */
  open(): void {
    this.#sender.sendWindowUpdate(this.#flags(), this.streamId, 0);
  }

  override send(data: Uint8Array | Uint8ArrayList): boolean {
    const direct =
      this.writeStatus === 'writable' &&
      !this.writableNeedsDrain &&
      !this.sendingData &&
      this.writeBuffer.byteLength === 0 &&
      data.byteLength > 0 &&
      data.byteLength <= this.#sendWindow;
    if (!direct) return super.send(data);
    this.#sendWindow -= data.byteLength;
    if (this.#sender.sendData(this.#flags(), this.streamId, data)) return true;
    this.writableNeedsDrain = true;
    return false;
  }

  sendData(data: Uint8ArrayList): SendResult {
    const sentBytes = Math.min(data.byteLength, this.#sendWindow);
    if (sentBytes === 0) return { sentBytes, canSendMore: false };
    this.#sendWindow -= sentBytes;
    const part = sentBytes === data.byteLength ? data : data.sublist(0, sentBytes);
    const more = this.#sender.sendData(this.#flags(), this.streamId, part);
    return { sentBytes, canSendMore: more && sentBytes === data.byteLength };
  }

  sendReset(): void {
    this.#sender.sendWindowUpdate(FLAG.rst, this.streamId, 0);
  }

  async sendCloseWrite(): Promise<void> {
    this.#sender.sendWindowUpdate(this.#flags() | FLAG.fin, this.streamId, 0);
  }

  /** Yamux has no word for it: what still comes is dropped. */
  async sendCloseRead(): Promise<void> {}

  /** The window is not opened again meanwhile, so the other side stops when it is used up. */
  sendPause(): void {}

  sendResume(): void {
    this.#openWindow();
  }

  /** The other side takes more. */
  grow(bytes: number): void {
    const blocked = this.#sendWindow === 0;
    this.#sendWindow += bytes;
    if (blocked && bytes > 0 && !this.#sender.saturated) this.#drain();
  }

  override onMuxerDrain(): void {
    if (this.#sendWindow > 0) this.#drain();
  }

  /** A data frame begins. Throws if the other side sends more than it may. */
  expect(bytes: number): void {
    if (bytes > this.#receivable) throw new YamuxError(`${bytes} bytes, and the window has ${this.#receivable}`);
    this.#receivable -= bytes;
  }

  /** Takes a chunk that is the caller's again afterwards. */
  receive(chunk: Uint8Array): void {
    if (this.#reader !== undefined && this.readStatus === 'readable' && this.readBuffer.byteLength === 0) {
      this.#reader(chunk);
    } else {
      this.onData(copyBytes(chunk));
    }
  }

  /** The data frame has come whole. */
  received(): void {
    if (this.readStatus !== 'paused') this.#openWindow();
  }

  protected override dispatchReadBuffer(): void {
    if (this.#reader !== undefined && this.readStatus === 'readable' && this.readBuffer.byteLength > 0) {
      const held = this.readBuffer.sublist();
      this.readBuffer.consume(held.byteLength);
      for (const chunk of held) this.#reader(chunk);
    }
    super.dispatchReadBuffer();
  }

  #flags(): number {
    const flag = this.#openingFlag;
    this.#openingFlag = 0;
    return flag;
  }

  /** A stream on which much arrives gets a larger window each time, up to the limit. */
  #openWindow(): void {
    if (this.status !== 'open' || this.remoteWriteStatus === 'closed') return;
    if (this.#receivable > this.#receiveWindow / 2) return;
    this.#receiveWindow = Math.min(this.#receiveWindow * 2, this.#maxWindowBytes);
    const bytes = this.#receiveWindow - this.#receivable;
    this.#receivable = this.#receiveWindow;
    this.#sender.sendWindowUpdate(this.#flags(), this.streamId, bytes);
  }

  #drain(): void {
    if (this.writableNeedsDrain) this.safeDispatchEvent('drain');
  }
}
