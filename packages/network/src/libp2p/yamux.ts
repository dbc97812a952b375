/**
 * Streams over one connection by yamux. Frames go out as they come, in order; the connection puts those of one turn
 * together. https://github.com/hashicorp/yamux/blob/master/spec.md
 */

import {
  type AbortOptions,
  type CreateStreamOptions,
  type MessageStream,
  MuxerClosedError,
  type StreamMuxerFactory,
  serviceCapabilities,
  TooManyOutboundProtocolStreamsError,
} from '@libp2p/interface';
import { AbstractStreamMuxer } from '@libp2p/utils';
import { Uint8ArrayList } from 'uint8arraylist';
import { SecureSocket } from './secure-socket.ts';
import { toError } from './streams.ts';
import {
  encodeHeader,
  FLAG,
  FRAME_TYPE,
  type FrameHeader,
  FrameParser,
  type FrameReceiver,
  GO_AWAY,
  YamuxError,
} from './yamux-frame.ts';
import { type YamuxSender, YamuxStream } from './yamux-stream.ts';

const PROTOCOL = '/yamux/1.0.0';

export interface YamuxOptions {
  readonly maxInboundStreams: number;
  readonly maxOutboundStreams: number;
  readonly maxWindowBytes: number;
  readonly maxReadBufferBytes: number;
  /** Bytes that may wait on a connection; what the peer makes this side answer beyond it closes the connection. */
  readonly maxUnsentBytes: number;
}

export function yamux(options: YamuxOptions): () => StreamMuxerFactory<YamuxMuxer> {
  return () => ({
    protocol: PROTOCOL,
    [Symbol.toStringTag]: '@squad/yamux',
    [serviceCapabilities]: ['@libp2p/stream-multiplexing'],
    createStreamMuxer: (connection: MessageStream) => new YamuxMuxer(connection, options),
  });
}

export class YamuxMuxer extends AbstractStreamMuxer<YamuxStream> implements FrameReceiver, YamuxSender {
  readonly #options: YamuxOptions;
  readonly #parser: FrameParser = new FrameParser(this);
  readonly #byId = new Map<number, YamuxStream>();
  /** Ids of the dialing side are odd. */
  readonly #ownParity: 0 | 1;
  #nextId: number;
  #inboundStreams = 0;
  #saidGoodbye = false;
  #heardGoodbye = false;
  /** Whose payload comes; undefined if the stream is gone. */
  #receiving: YamuxStream | undefined;
  #receivingFlags = 0;

  constructor(connection: MessageStream, options: YamuxOptions) {
    super(connection, { protocol: PROTOCOL, name: 'yamux' });
    this.#options = options;
    this.#ownParity = connection.direction === 'outbound' ? 1 : 0;
    this.#nextId = this.#ownParity === 1 ? 1 : 2;
    if (connection instanceof SecureSocket) connection.readDirectly((chunk) => this.#read(chunk));
  }

  get saturated(): boolean {
    return this.maConn.writableNeedsDrain;
  }

  onCreateStream(_options: CreateStreamOptions): YamuxStream {
    if (this.#heardGoodbye || this.#saidGoodbye) throw new MuxerClosedError('the connection is closing');
    if (this.#byId.size - this.#inboundStreams >= this.#options.maxOutboundStreams) {
      throw new TooManyOutboundProtocolStreamsError('too many streams on this connection');
    }
    const stream = this.#add(this.#nextId, 'outbound');
    this.#nextId += 2;
    stream.open();
    return stream;
  }

  onData(data: Uint8Array | Uint8ArrayList): void {
    if (data instanceof Uint8Array) this.#parser.push(data);
    else for (const chunk of data) this.#parser.push(chunk);
  }

  override async close(options?: AbortOptions): Promise<void> {
    if (this.status !== 'open') return;
    await super.close(options);
    this.#goodbye(GO_AWAY.normal);
  }

  override abort(error: Error): void {
    if (this.status !== 'open') return;
    super.abort(error);
    this.#goodbye(error instanceof YamuxError ? GO_AWAY.protocolError : GO_AWAY.internalError);
  }

  onHeader({ type, flags, streamId, length }: FrameHeader): void {
    if (type === FRAME_TYPE.data || type === FRAME_TYPE.windowUpdate) this.#streamFrame(type, flags, streamId, length);
    else if (streamId !== 0) throw new YamuxError(`a frame of type ${type} for stream ${streamId}`);
    else if (type === FRAME_TYPE.ping) this.#pinged(flags, length);
    else if (type === FRAME_TYPE.goAway) this.#left(length);
    else throw new YamuxError(`a frame of type ${type}`);
  }

  onPayload(part: Uint8Array, last: boolean): void {
    const stream = this.#receiving;
    if (stream === undefined) return;
    if (part.length > 0) stream.receive(part);
    if (!last) return;
    this.#receiving = undefined;
    closed(stream, this.#receivingFlags);
    stream.received();
  }

  sendData(flags: number, streamId: number, data: Uint8Array | Uint8ArrayList): boolean {
    const header = encodeHeader(FRAME_TYPE.data, flags, streamId, data.byteLength);
    if (!(this.maConn instanceof SecureSocket)) return this.maConn.send(new Uint8ArrayList(header, data));
    this.maConn.send(header);
    return this.maConn.send(data);
  }

  sendWindowUpdate(flags: number, streamId: number, bytes: number): void {
    this.#control(FRAME_TYPE.windowUpdate, flags, streamId, bytes);
  }

  #read(chunk: Uint8Array): void {
    if (this.status === 'closed') return;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.abort(toError(error));
      this.maConn.abort(toError(error));
    }
  }

  #streamFrame(type: number, flags: number, streamId: number, length: number): void {
    if (streamId === 0) throw new YamuxError('data for stream 0');
    if ((flags & FLAG.syn) !== 0) this.#incoming(streamId);
    const stream = this.#byId.get(streamId);
    if (type === FRAME_TYPE.data) {
      stream?.expect(length);
      this.#receiving = stream;
      this.#receivingFlags = flags;
      return;
    }
    if (stream === undefined) return;
    stream.grow(length);
    closed(stream, flags);
  }

  #incoming(streamId: number): void {
    if (streamId % 2 === this.#ownParity)
      throw new YamuxError(`the peer opened stream ${streamId}, an id of this side`);
    if (this.#byId.has(streamId)) return;
    if (this.#saidGoodbye || this.#inboundStreams >= this.#options.maxInboundStreams) {
      this.sendWindowUpdate(FLAG.rst, streamId, 0);
      return;
    }
    this.onRemoteStream(this.#add(streamId, 'inbound'));
  }

  #add(streamId: number, direction: 'inbound' | 'outbound'): YamuxStream {
    const stream = new YamuxStream({
      streamId,
      direction,
      sender: this,
      maxWindowBytes: this.#options.maxWindowBytes,
      maxReadBufferLength: this.#options.maxReadBufferBytes,
      log: this.log.newScope(`${direction}:${streamId}`),
    });
    this.#byId.set(streamId, stream);
    if (direction === 'inbound') this.#inboundStreams++;
    stream.addEventListener('close', () => {
      this.#byId.delete(streamId);
      if (direction === 'inbound') this.#inboundStreams--;
    });
    return stream;
  }

  #pinged(flags: number, number: number): void {
    // This side sends none: libp2p's own ping tells whether a peer is alive.
    if ((flags & FLAG.syn) === 0) throw new YamuxError('an answer to a ping that was not sent');
    this.#control(FRAME_TYPE.ping, FLAG.ack, 0, number);
  }

  #left(reason: number): void {
    this.#heardGoodbye = true;
    if (reason === GO_AWAY.normal) this.onTransportClosed();
    else this.abort(new Error(`the peer closed the connection, reason ${reason}`));
  }

  #goodbye(reason: number): void {
    this.#saidGoodbye = true;
    if (this.maConn.status === 'open') this.#control(FRAME_TYPE.goAway, 0, 0, reason);
  }

  #control(type: number, flags: number, streamId: number, length: number): void {
    this.maConn.send(encodeHeader(type, flags, streamId, length));
    if (this.maConn.writeBufferLength > this.#options.maxUnsentBytes) {
      this.maConn.abort(new Error(`${this.maConn.writeBufferLength} bytes wait for a peer that does not read`));
    }
  }
}

/** What the flags of a frame say of the other side's end. */
function closed(stream: YamuxStream, flags: number): void {
  if ((flags & FLAG.fin) !== 0) stream.onRemoteCloseWrite();
  if ((flags & FLAG.rst) !== 0) stream.onRemoteReset();
}
