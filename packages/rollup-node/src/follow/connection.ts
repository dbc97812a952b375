/** One open feed: puts blocks together from messages, and sends subscriptions and acknowledgements. */

import { refsOfRollup } from '@squad/client';
import type { FeedStream } from '@squad/network';
import {
  decodeFeedMessage,
  encodeFeedMessage,
  type FeedBlock,
  type FeedErrorCode,
  type FeedMessage,
  type Height,
  MAX_FEED_BLOCK_BYTES,
  type RollupId,
} from '@squad/types';
import { ACKNOWLEDGEMENT_INTERVAL_MS, MAX_BLOCK_TRANSFER_MS } from './api.ts';

export interface ConnectionHandlers {
  onBlock(block: FeedBlock, bytes: number): void;
  /** A block some of whose batches are still to come. To refuse it, close the connection. */
  onBlockBegun(block: FeedBlock): void;
  onHead(height: Height): void;
  /** Once. `closed`: by either side. `error`: the sequencer said why. `fault`: it does not keep to the protocol. */
  onEnd(end: ConnectionEnd): void;
}

export type ConnectionEnd =
  | { readonly kind: 'closed' }
  | { readonly kind: 'error'; readonly code: FeedErrorCode; readonly message: string }
  | { readonly kind: 'fault'; readonly code: 'ENCODING' | 'PROTOCOL'; readonly message: string };

/** A block some of whose batches are still to come. */
interface Unfinished {
  readonly block: FeedBlock;
  readonly wanted: number;
  readonly sinceMs: number;
  bytes: number;
  changedAtMs: number;
}

export class FeedConnection {
  readonly #stream: FeedStream;
  readonly #rollupId: RollupId;
  readonly #handlers: ConnectionHandlers;
  #unfinished: Unfinished | undefined;
  #ended = false;
  #acknowledged: Height = 0;
  #acknowledgementWanted: Height = 0;
  #acknowledgementTimer: NodeJS.Timeout | undefined;

  constructor(stream: FeedStream, rollupId: RollupId, handlers: ConnectionHandlers) {
    this.#stream = stream;
    this.#rollupId = rollupId;
    this.#handlers = handlers;
    void this.#read();
  }

  subscribe(fromHeight: Height): void {
    // The acknowledged height is part of a subscription; a message before it would be for the one that it replaces.
    clearTimeout(this.#acknowledgementTimer);
    this.#acknowledgementTimer = undefined;
    this.#acknowledged = fromHeight - 1;
    this.#acknowledgementWanted = this.#acknowledged;
    this.#send({ type: 'subscribe', rollupId: this.#rollupId, fromHeight });
  }

  /** Cumulative; the newest one is sent, at most every `ACKNOWLEDGEMENT_INTERVAL_MS`. */
  acknowledge(height: Height): void {
    if (height <= this.#acknowledgementWanted) return;
    this.#acknowledgementWanted = height;
    if (this.#acknowledgementTimer === undefined) this.#sendAcknowledgement();
  }

  /** Whether the block at this height is coming in: something of it within so many milliseconds, and not for ever. */
  isReceiving(height: Height, withinMs: number): boolean {
    if (this.#unfinished?.block.block.header.height !== height) return false;
    const { sinceMs, changedAtMs } = this.#unfinished;
    const nowMs = performance.now();
    return nowMs - changedAtMs < withinMs && nowMs - sinceMs < MAX_BLOCK_TRANSFER_MS;
  }

  close(): void {
    this.#end({ kind: 'closed' });
  }

  #sendAcknowledgement(): void {
    this.#acknowledgementTimer = undefined;
    if (this.#ended || this.#acknowledgementWanted <= this.#acknowledged) return;
    this.#acknowledged = this.#acknowledgementWanted;
    this.#send({ type: 'acknowledge', height: this.#acknowledged });
    this.#acknowledgementTimer = setTimeout(() => this.#sendAcknowledgement(), ACKNOWLEDGEMENT_INTERVAL_MS);
  }

  #send(message: FeedMessage): void {
    this.#stream.send(encodeFeedMessage(message)).catch(() => this.#end({ kind: 'closed' }));
  }

  async #read(): Promise<void> {
    try {
      for await (const frame of this.#stream.frames()) {
        if (this.#ended) return;
        const message = decodeFeedMessage(frame);
        if (!message.ok) {
          const { what, reason } = message.error;
          return this.#end({
            kind: 'fault',
            code: 'ENCODING',
            message: `not a message of the feed: ${what}: ${reason}`,
          });
        }
        const end = this.#receive(message.value, frame.length);
        if (end) return this.#end(end);
      }
    } catch {
      // A stream that breaks is one that was closed.
    }
    this.#end({ kind: 'closed' });
  }

  #receive(message: FeedMessage, bytes: number): ConnectionEnd | undefined {
    switch (message.type) {
      case 'head':
        this.#handlers.onHead(message.height);
        return undefined;
      case 'block':
        return this.#beginBlock(message.block, bytes);
      case 'batch':
        return this.#addBatch(message.batch);
      case 'error':
        return { kind: 'error', code: message.code, message: message.message };
      default:
        return outOfTurn(`a sequencer does not send a ${message.type} message`);
    }
  }

  #beginBlock(block: FeedBlock, bytes: number): ConnectionEnd | undefined {
    if (this.#unfinished) return outOfTurn('a block came before all batches of the one before it');
    const wanted = block.bodiesOmitted === 1 ? 0 : refsOfRollup(block.block.refs, this.#rollupId).length;
    const nowMs = performance.now();
    this.#unfinished = { block, wanted, bytes, sinceMs: nowMs, changedAtMs: nowMs };
    if (block.batches.length < wanted) this.#handlers.onBlockBegun(block);
    else this.#finishBlock();
    return undefined;
  }

  #addBatch(batch: Uint8Array): ConnectionEnd | undefined {
    const unfinished = this.#unfinished;
    if (!unfinished) return outOfTurn('a batch came that belongs to no block');
    unfinished.block.batches.push(batch);
    unfinished.bytes += batch.length;
    unfinished.changedAtMs = performance.now();
    if (unfinished.bytes > MAX_FEED_BLOCK_BYTES) {
      return outOfTurn(`a block has more than MAX_FEED_BLOCK_BYTES = ${MAX_FEED_BLOCK_BYTES} bytes`);
    }
    this.#finishBlock();
    return undefined;
  }

  #finishBlock(): void {
    const { block, wanted, bytes } = this.#unfinished!;
    if (block.batches.length < wanted) return;
    this.#unfinished = undefined;
    this.#handlers.onBlock(block, bytes);
  }

  #end(end: ConnectionEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#acknowledgementTimer);
    this.#stream.close();
    this.#handlers.onEnd(end);
  }
}

function outOfTurn(message: string): ConnectionEnd {
  return { kind: 'fault', code: 'PROTOCOL', message };
}
