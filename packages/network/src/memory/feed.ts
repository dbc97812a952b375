/** A feed between two peers of a memory hub: two ends, each with an inbox whose room is the other's send window. */

import type { FeedStream, PeerId } from '../api.ts';
import { copyBytes } from '../bytes.ts';
import { checkFeedFrame, checkFeedQueue, feedClosed } from '../checks.ts';
import { FrameInbox } from '../frame-inbox.ts';
import type { MemoryPeer, MemorySession } from './session.ts';

export class MemoryFeed implements FeedStream {
  readonly peer: PeerId;
  readonly #session: MemorySession;
  readonly #self: MemoryPeer;
  readonly #maxFrameBytes: number;
  readonly #inbox: FrameInbox;
  readonly #onClosed: () => void;
  #remote: MemoryFeed | undefined;
  #lastSend: Promise<void> = Promise.resolve();
  #queuedBytes = 0;
  #closed = false;

  constructor(session: MemorySession, self: MemoryPeer, maxFrameBytes: number, onClosed: () => void) {
    this.#session = session;
    this.#self = self;
    this.#maxFrameBytes = maxFrameBytes;
    this.#onClosed = onClosed;
    this.peer = session.other(self).peerId;
    this.#inbox = new FrameInbox(self.limits.maxFeedUnreadBytes);
    session.whenClosed(() => this.#ended());
  }

  join(remote: MemoryFeed): void {
    this.#remote = remote;
  }

  async send(frame: Uint8Array): Promise<void> {
    checkFeedFrame(frame, this.#maxFrameBytes);
    if (this.#closed) throw feedClosed(this.peer);
    checkFeedQueue(this.#queuedBytes, frame, this.#self.limits.maxFeedFrameBytes, this.peer);
    this.#queuedBytes += frame.length;
    const copy = copyBytes(frame);
    const sent = this.#lastSend.then(() => this.#send(copy));
    this.#lastSend = sent.catch(() => {});
    return sent;
  }

  async *frames(): AsyncGenerator<Uint8Array> {
    yield* this.#inbox;
  }

  close(): void {
    if (this.#closed) return;
    this.#ended();
    const remote = this.#remote;
    if (remote !== undefined) this.#session.after(this.#self, remote.#self, () => remote.#ended());
  }

  #send(frame: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const remote = this.#remote;
      const settle = (error?: Error) => {
        cancel();
        this.#queuedBytes -= frame.length;
        if (error === undefined) resolve();
        else reject(error);
      };
      const cancel = this.#session.whenClosed(() => settle(feedClosed(this.peer)));
      if (this.#closed || remote === undefined) return settle(feedClosed(this.peer));
      this.#session.after(this.#self, remote.#self, () => {
        remote.#inbox.push(frame);
        if (remote.#inbox.full) remote.#inbox.onRoom(() => settle());
        else settle();
      });
    });
  }

  #ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#inbox.end();
    this.#onClosed();
  }
}
