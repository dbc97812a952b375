/** A feed over a libp2p stream: frames both ways, each side held to what the other has read. */

import type { Connection, Stream, StreamMessageEvent } from '@libp2p/interface';
import { SquadError } from '@squad/types';
import type { FeedStream, NetworkHandlers, PeerId } from '../api.ts';
import { checkFeedFrame, checkFeedQueue, feedClosed } from '../checks.ts';
import { FrameInbox } from '../frame-inbox.ts';
import { encodeFrame, FrameDecoder, FramingError } from '../framing.ts';
import { ProtocolBudget } from '../rate-limit.ts';
import { pauseReading } from './channel.ts';
import type { Host } from './host.ts';
import { PeerTable } from './peer-table.ts';
import { closeStream, toError, write } from './streams.ts';

interface FeedOptions {
  readonly maxReceivedFrameBytes: number;
  readonly maxUnreadBytes: number;
  readonly maxSentFrameBytes: number;
  readonly maxQueuedBytes: number;
  readonly sendTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Called with each read; an error closes the feed. */
  onReceived(frames: number, bytes: number): void;
  onBroken(error: FramingError): void;
  onClosed(): void;
}

export class Libp2pFeed implements FeedStream {
  readonly peer: PeerId;
  readonly #stream: Stream;
  readonly #options: FeedOptions;
  readonly #inbox: FrameInbox;
  readonly #idle: NodeJS.Timeout;
  #lastSend: Promise<void> = Promise.resolve();
  #queuedBytes = 0;
  #closed = false;

  constructor(stream: Stream, peer: PeerId, options: FeedOptions) {
    this.peer = peer;
    this.#stream = stream;
    this.#options = options;
    this.#inbox = new FrameInbox(options.maxUnreadBytes);
    this.#idle = setTimeout(() => this.#abort(new Error('the feed was idle')), options.idleTimeoutMs);
    this.#idle.unref();
    const decoder = new FrameDecoder(options.maxReceivedFrameBytes);
    stream.addEventListener('message', (event) => this.#received(decoder, event.data));
    stream.addEventListener('end', () => this.close());
    stream.addEventListener('close', () => this.#ended());
    if (stream.status !== 'open') this.#ended();
  }

  async send(frame: Uint8Array): Promise<void> {
    checkFeedFrame(frame, this.#options.maxSentFrameBytes);
    if (this.#closed) throw feedClosed(this.peer);
    checkFeedQueue(this.#queuedBytes, frame, this.#options.maxQueuedBytes, this.peer);
    this.#queuedBytes += frame.length;
    const sent = this.#lastSend.then(() => this.#send(frame));
    this.#lastSend = sent.catch(() => {});
    return sent;
  }

  async *frames(): AsyncGenerator<Uint8Array> {
    yield* this.#inbox;
  }

  close(): void {
    if (this.#closed) return;
    this.#ended();
    closeStream(this.#stream, this.#options.sendTimeoutMs);
  }

  async #send(frame: Uint8Array): Promise<void> {
    try {
      if (this.#closed) throw feedClosed(this.peer);
      await write(this.#stream, encodeFrame(frame), AbortSignal.timeout(this.#options.sendTimeoutMs));
      this.#idle.refresh();
    } catch (error) {
      this.#abort(toError(error));
      throw error instanceof SquadError ? error : feedClosed(this.peer, error);
    } finally {
      this.#queuedBytes -= frame.length;
    }
  }

  #received(decoder: FrameDecoder, data: StreamMessageEvent['data']): void {
    if (this.#closed) return;
    this.#idle.refresh();
    let frames = 0;
    try {
      for (const chunk of data instanceof Uint8Array ? [data] : data) {
        for (const frame of decoder.push(chunk)) {
          frames++;
          this.#inbox.push(frame);
        }
      }
      this.#options.onReceived(frames, data.byteLength);
    } catch (error) {
      this.#abort(toError(error));
      if (error instanceof FramingError) this.#options.onBroken(error);
      return;
    }
    if (this.#inbox.full) pauseReading(this.#stream, (resume) => this.#inbox.onRoom(resume));
  }

  #abort(error: Error): void {
    this.#ended();
    this.#stream.abort(error);
  }

  #ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#idle);
    this.#inbox.end();
    this.#options.onClosed();
  }
}

interface Follower {
  readonly budget: ProtocolBudget;
  feeds: number;
}

/** Takes in the feeds that rollup nodes open. */
export class FeedServer {
  readonly #host: Host;
  readonly #onFeed: NetworkHandlers['onFeed'];
  readonly #followers: PeerTable<Follower>;

  constructor(host: Host, onFeed: NetworkHandlers['onFeed']) {
    this.#host = host;
    this.#onFeed = onFeed;
    this.#followers = new PeerTable(() => ({
      budget: new ProtocolBudget(host.limits.feedRate, Date.now()),
      feeds: 0,
    }));
  }

  serve(stream: Stream, connection: Connection): void {
    const { limits, gate, statistics } = this.#host;
    const peer = connection.remotePeer.toString();
    const follower = this.#followers.get(peer);
    if (statistics.feedsOpen >= limits.maxFeeds || follower.feeds >= limits.maxFeedsPerPeer) {
      gate.strike(peer, 'tooManyFeeds');
      stream.abort(new Error('too many feeds'));
      return;
    }
    follower.feeds++;
    statistics.feedsOpen++;
    const feed = new Libp2pFeed(stream, peer, {
      maxReceivedFrameBytes: limits.maxFeedRequestBytes,
      maxSentFrameBytes: limits.maxFeedFrameBytes,
      maxUnreadBytes: limits.maxFeedUnreadBytes,
      maxQueuedBytes: limits.maxFeedFrameBytes,
      sendTimeoutMs: limits.feedSendTimeoutMs,
      idleTimeoutMs: limits.feedIdleTimeoutMs,
      onReceived: (frames, bytes) => this.#within(follower, peer, frames, bytes),
      onBroken: (error) => gate.refuse(peer, 'frameTooLarge', error.message),
      onClosed: () => {
        follower.feeds--;
        statistics.feedsOpen--;
      },
    });
    this.#host.call('onFeed', () => this.#onFeed(feed));
  }

  #within(follower: Follower, peer: PeerId, frames: number, bytes: number): void {
    if (follower.budget.take(frames, bytes, Date.now()) === 0) return;
    this.#host.gate.strike(peer, 'rate');
    throw new Error('too many frames on a feed');
  }
}

/** Opens a feed on a connection to a sequencer. Rejects with `FEED_FAILED`. */
export async function openFeed(host: Host, connection: Connection): Promise<FeedStream> {
  const { limits, gate } = host;
  const peer = connection.remotePeer.toString();
  try {
    const signal = AbortSignal.timeout(limits.requestTimeoutMs);
    const stream = await connection.newStream(host.names.feed, { signal });
    return new Libp2pFeed(stream, peer, {
      maxReceivedFrameBytes: limits.maxFeedFrameBytes,
      maxSentFrameBytes: limits.maxFeedRequestBytes,
      maxUnreadBytes: limits.maxFeedUnreadBytes,
      maxQueuedBytes: limits.maxFeedFrameBytes,
      sendTimeoutMs: limits.feedSendTimeoutMs,
      idleTimeoutMs: limits.feedIdleTimeoutMs,
      onReceived: () => {},
      onBroken: (error) => gate.refuse(peer, 'frameTooLarge', error.message),
      onClosed: () => {},
    });
  } catch (cause) {
    const message = `no feed from ${peer}: ${toError(cause).message}`;
    throw new SquadError('FEED_FAILED', message, 'Try another validator.', { peer }, cause);
  }
}
