/** One client of a Nitro feed: where it is, and whether it is still there. */

import { WebSocket } from 'ws';
import { MAX_UNANSWERED_FEED_PINGS } from './limits.ts';

export interface FeedSessionConfig {
  readonly socket: WebSocket;
  /** The sequence number from which it wants messages. */
  readonly next: number;
  readonly frame: (from: number) => { readonly text: string; readonly next: number } | undefined;
  readonly onClosed: () => void;
  /** It is cut off: what it asked for could not be read. */
  readonly onFailed: (error: unknown) => void;
}

export class FeedSession {
  readonly #config: FeedSessionConfig;
  readonly #socket: WebSocket;
  #next: number;
  #sending = false;
  #unansweredPings = 0;

  constructor(config: FeedSessionConfig) {
    this.#config = config;
    this.#socket = config.socket;
    this.#next = config.next;
    const heard = () => {
      this.#unansweredPings = 0;
    };
    this.#socket.on('pong', heard);
    // A client has nothing to say. What it says shows that it is there.
    this.#socket.on('message', heard);
    // Too large a message, or bytes that are no WebSocket: the socket closes itself.
    this.#socket.on('error', () => {});
    this.#socket.on('close', config.onClosed);
  }

  /** Gives the client what is there for it, a frame at a time: the next when the system has taken the one before. */
  pump(): void {
    if (this.#sending || this.#socket.readyState !== WebSocket.OPEN) return;
    try {
      const frame = this.#config.frame(this.#next);
      if (frame === undefined) return;
      this.#sending = true;
      this.#socket.send(frame.text, (error) => {
        this.#sending = false;
        if (error) return;
        this.#unansweredPings = 0;
        this.#next = frame.next;
        this.pump();
      });
    } catch (error) {
      this.#config.onFailed(error);
      this.terminate();
    }
  }

  /** Counted, not timed: a process that was held up for long does not take its own silence for its clients'. */
  ping(): void {
    if (this.#unansweredPings++ >= MAX_UNANSWERED_FEED_PINGS) this.terminate();
    else this.#socket.ping();
  }

  terminate(): void {
    this.#socket.terminate();
  }
}
