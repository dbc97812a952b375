/** One subscription to a rollup's sequence over WebSocket, read in order, with what waits bounded. */

import { decodeFeedBlock, type FeedBlock, fromHex, type Height, isHex, type RollupId } from '@squad/types';
import { quoted } from './call.ts';
import { MAX_QUEUED_CHARACTERS } from './limits.ts';

export type SequenceEvent =
  | { readonly type: 'block'; readonly block: FeedBlock }
  /** It gave what no honest sequencer gives. */
  | { readonly type: 'fault'; readonly code: 'ENCODING' | 'PROTOCOL'; readonly message: string }
  /** Closed, by whom and why ever; or it said that it cannot go on. */
  | { readonly type: 'end'; readonly message: string };

export class SequenceSocket {
  readonly #socket: WebSocket;
  readonly #queue: string[] = [];
  #queued = 0;
  #received = 0;
  #end: string | undefined;
  #wake: (() => void) | undefined;

  constructor(endpoint: string, rollupId: RollupId, fromHeight: Height) {
    this.#socket = new WebSocket(endpoint.replace(/^http/, 'ws'));
    const params = ['sequence', rollupId, fromHeight, 'encoded'];
    this.#socket.onopen = () =>
      this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'squad_subscribe', params }));
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onerror = () => this.#ended('the connection failed');
    this.#socket.onclose = ({ code, reason }) => this.#ended(`the connection was closed (${code} ${reason})`);
  }

  /** Undefined after so many milliseconds without an event. */
  async next(timeoutMs: number): Promise<SequenceEvent | undefined> {
    if (this.#queue.length === 0 && this.#end === undefined) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
    for (let text = this.#queue.shift(); text !== undefined; text = this.#queue.shift()) {
      this.#queued -= text.length;
      const event = eventOf(text);
      if (event) return event;
    }
    return this.#end === undefined ? undefined : { type: 'end', message: this.#end };
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** No more comes in. */
  get isOver(): boolean {
    return this.#end !== undefined;
  }

  /** Messages that came in. */
  get received(): number {
    return this.#received;
  }

  /** Of those, the ones that `next` has looked at. */
  get taken(): number {
    return this.#received - this.#queue.length;
  }

  /** Ends the wait. */
  interrupt(): void {
    this.#wake?.();
  }

  close(): void {
    this.#ended('closed here');
    this.#socket.close();
  }

  #receive(data: unknown): void {
    if (this.#end !== undefined) return;
    if (typeof data !== 'string') return this.#ended('it sent bytes in place of text');
    this.#queue.push(data);
    this.#queued += data.length;
    this.#received++;
    // The platform's WebSocket cannot be told to wait: leave, work off what is here, and come back for the rest.
    if (this.#queued > MAX_QUEUED_CHARACTERS) {
      this.#ended('more is waiting here than MAX_QUEUED_CHARACTERS');
      this.#socket.close();
    }
    this.#wake?.();
  }

  #ended(reason: string): void {
    this.#end ??= reason;
    this.#wake?.();
  }
}

/** Undefined for the answer to the subscription. */
export function eventOf(text: string): SequenceEvent | undefined {
  let message: {
    id?: unknown;
    error?: { message?: unknown };
    params?: { result?: { encoded?: unknown; error?: { message?: unknown } } };
  } | null;
  try {
    message = JSON.parse(text);
  } catch {
    return { type: 'fault', code: 'ENCODING', message: `it sent what is not JSON: ${text.slice(0, 80)}` };
  }
  if (message?.error) return { type: 'end', message: `it refused: ${quoted(message.error.message)}` };
  if (message?.id !== undefined) return undefined;
  const result = message?.params?.result;
  if (result?.error) return { type: 'end', message: quoted(result.error.message) };
  if (!isHex(result?.encoded))
    return { type: 'fault', code: 'ENCODING', message: 'it sent a block that is not 0x-hex' };
  const block = decodeFeedBlock(fromHex(result.encoded));
  if (block.ok) return { type: 'block', block: block.value };
  return { type: 'fault', code: 'ENCODING', message: `it sent what is no block: ${block.error.reason}` };
}
