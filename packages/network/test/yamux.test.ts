/** Streams over one connection, frame by frame: what goes out, and what a peer that breaks the rules gets for it. */

import type { Stream } from '@libp2p/interface';
import { AbstractMessageStream, type SendResult } from '@libp2p/utils';
import type { Uint8ArrayList } from 'uint8arraylist';
import { describe, expect, it } from 'vitest';
import { YamuxMuxer, type YamuxOptions } from '../src/libp2p/yamux.ts';
import { encodeHeader, FLAG, FRAME_TYPE, type FrameHeader, FrameParser } from '../src/libp2p/yamux-frame.ts';
import type { YamuxStream } from '../src/libp2p/yamux-stream.ts';
import { random } from './random.ts';

const KIB = 1024;
const { data: DATA, windowUpdate: WINDOW, ping: PING, goAway: GO_AWAY } = FRAME_TYPE;

const options: YamuxOptions = {
  maxInboundStreams: 3,
  maxOutboundStreams: 2,
  maxWindowBytes: 1024 * KIB,
  maxReadBufferBytes: 2048 * KIB,
  maxUnsentBytes: 24,
};

const silent = Object.assign(() => {}, { error: () => {}, trace: () => {}, enabled: false, newScope: () => silent });

/** A connection that writes down the frames that are sent on it. */
class Recorded extends AbstractMessageStream {
  readonly frames: (FrameHeader & { payload: Uint8Array })[] = [];
  /** Whether it takes bytes; else they wait. */
  open = true;
  readonly #parser = new FrameParser({
    onHeader: (header) => void this.frames.push({ ...header, payload: new Uint8Array(0) }),
    onPayload: (part) => {
      const last = this.frames.pop()!;
      this.frames.push({ ...last, payload: Buffer.concat([last.payload, part]) });
    },
  });

  constructor(direction: 'inbound' | 'outbound' = 'inbound') {
    super({ log: silent as never, direction });
  }

  hear(type: number, flags: number, streamId: number, length: number, payload = new Uint8Array(0)): void {
    this.onData(Buffer.concat([encodeHeader(type, flags, streamId, length), payload]));
  }

  sendData(bytes: Uint8ArrayList): SendResult {
    if (!this.open) return { sentBytes: 0, canSendMore: false };
    for (const chunk of bytes) this.#parser.push(chunk);
    return { sentBytes: bytes.byteLength, canSendMore: true };
  }

  drain(): void {
    this.open = true;
    this.safeDispatchEvent('drain');
  }

  sendReset(): void {}
  sendPause(): void {}
  sendResume(): void {}
  async close(): Promise<void> {}
}

function listening(changes: Partial<YamuxOptions> = {}) {
  const connection = new Recorded();
  const muxer = new YamuxMuxer(connection, { ...options, ...changes });
  const streams: YamuxStream[] = [];
  muxer.addEventListener('stream', ({ detail }) => void streams.push(detail));
  return { connection, muxer, streams };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('yamux', () => {
  it('reads the same frames, however the bytes are cut', () => {
    const draw = random(3);
    for (let run = 0; run < 60; run++) {
      const frames = Array.from({ length: 1 + draw(8) }, () => {
        const type = draw(2);
        const length = type === DATA ? draw(draw(3) === 0 ? 40_000 : 40) : draw(2 ** 32);
        const payload = Uint8Array.from({ length: type === DATA ? length : 0 }, () => draw(256));
        return { type, flags: draw(16), streamId: draw(2 ** 32), length, payload };
      });
      const bytes = Buffer.concat(
        frames.flatMap((frame) => [encodeHeader(frame.type, frame.flags, frame.streamId, frame.length), frame.payload]),
      );
      const read: (FrameHeader & { parts: Uint8Array[] })[] = [];
      let ends = 0;
      const parser = new FrameParser({
        onHeader: (header) => void read.push({ ...header, parts: [] }),
        onPayload: (part, last) => {
          read.at(-1)!.parts.push(part);
          if (last) ends++;
        },
      });
      const largest = run % 2 === 0 ? 5 : 20_000;
      for (let offset = 0; offset < bytes.length; ) {
        const length = 1 + draw(largest);
        parser.push(bytes.subarray(offset, offset + length));
        offset += length;
      }
      const whole = read.map(({ parts, ...header }) => ({ ...header, payload: new Uint8Array(Buffer.concat(parts)) }));
      expect(whole).toEqual(frames);
      expect(ends).toBe(frames.filter(({ type }) => type === DATA).length);
    }
  });

  it('opens the window again when half of it is used, wider each time, and not before', () => {
    const { connection, streams } = listening();
    connection.hear(WINDOW, FLAG.syn, 1, 0);
    streams[0]!.readDirectly(() => {});
    const half = new Uint8Array(128 * KIB);
    connection.hear(DATA, 0, 1, half.length - 1, half.subarray(1));
    expect(connection.frames).toEqual([]);
    connection.hear(DATA, 0, 1, 1, half.subarray(0, 1));
    expect(connection.frames).toMatchObject([
      { type: WINDOW, flags: FLAG.ack, streamId: 1, length: (512 - 128) * KIB },
    ]);
    for (let i = 0; i < 40; i++) connection.hear(DATA, 0, 1, half.length, half);
    // 512 KiB: after 256 of them the window is 1 MiB, its limit, and opened by half of that each time.
    const updates = connection.frames.slice(1).map(({ length }) => length / KIB);
    expect(updates).toEqual([256 + 512, ...Array.from({ length: 9 }, () => 512)]);
  });

  it('takes a window full of bytes while paused, and closes the connection for one more', async () => {
    for (const excess of [0, 1]) {
      const { connection, streams } = listening();
      connection.hear(WINDOW, FLAG.syn, 1, 0);
      streams[0]!.pause();
      for (let i = 0; i < 4; i++) connection.hear(DATA, 0, 1, 64 * KIB, new Uint8Array(64 * KIB));
      expect(streams[0]!.readBufferLength).toBe(256 * KIB);
      expect(connection.frames).toEqual([]);
      if (excess > 0) connection.hear(DATA, 0, 1, excess, new Uint8Array(excess));
      expect(connection.status).toBe(excess > 0 ? 'aborted' : 'open');
      if (excess > 0) continue;
      let read = 0;
      streams[0]!.readDirectly((chunk) => {
        read += chunk.length;
      });
      streams[0]!.resume();
      await settled();
      expect(read).toBe(256 * KIB);
      expect(connection.frames).toMatchObject([{ type: WINDOW, streamId: 1, length: 512 * KIB }]);
    }
  });

  it('sends no more than the window of the other side, and goes on when that grows', async () => {
    const connection = new Recorded('outbound');
    const muxer = new YamuxMuxer(connection, options);
    const stream = await muxer.createStream();
    expect(stream.send(new Uint8Array(256 * KIB + 10))).toBe(false);
    const sent = () => connection.frames.filter(({ type }) => type === DATA).map(({ length }) => length);
    expect(connection.frames[0]).toMatchObject({ type: WINDOW, flags: FLAG.syn, streamId: 1 });
    expect(sent()).toEqual([256 * KIB]);
    connection.hear(WINDOW, FLAG.ack, 1, 4);
    await settled();
    expect(sent()).toEqual([256 * KIB, 4]);
    connection.hear(WINDOW, 0, 1, 1_000_000);
    await settled();
    expect(sent()).toEqual([256 * KIB, 4, 6]);
    expect(stream.writableNeedsDrain).toBe(false);
  });

  it('does not let a peer that opens windows push it past a connection that is full', async () => {
    const connection = new Recorded('outbound');
    const muxer = new YamuxMuxer(connection, { ...options, maxUnsentBytes: 1e9 });
    const stream = await muxer.createStream();
    connection.open = false;
    for (let i = 0; i < 10; i++) {
      if (!stream.writableNeedsDrain) stream.send(new Uint8Array(256 * KIB));
      connection.hear(WINDOW, 0, 1, 1_000_000);
      await settled();
    }
    expect(connection.writeBufferLength).toBeLessThanOrEqual(256 * KIB + 12);
    connection.drain();
    await settled();
    expect(stream.writableNeedsDrain).toBe(false);
    expect(stream.send(new Uint8Array(10))).toBe(true);
  });

  it('takes streams up to its limit and resets those beyond, and has room again when one closes', async () => {
    const { connection, streams } = listening();
    for (const id of [1, 3, 5, 7]) connection.hear(WINDOW, FLAG.syn, id, 0);
    expect(streams.map(({ streamId }) => streamId)).toEqual([1, 3, 5]);
    expect(connection.frames).toMatchObject([{ type: WINDOW, flags: FLAG.rst, streamId: 7 }]);
    connection.hear(WINDOW, FLAG.rst, 3, 0);
    connection.hear(WINDOW, FLAG.syn, 9, 0);
    expect(streams.map(({ streamId }) => streamId)).toEqual([1, 3, 5, 9]);
    expect(streams[1]!.status).toBe('reset');
  });

  it('opens streams up to its limit', async () => {
    const muxer = new YamuxMuxer(new Recorded('outbound'), options);
    const streams = [await muxer.createStream(), await muxer.createStream()];
    expect(streams.map(({ streamId }) => streamId)).toEqual([1, 3]);
    await expect(muxer.createStream()).rejects.toMatchObject({ name: 'TooManyOutboundProtocolStreamsError' });
    streams[0]!.abort(new Error('done'));
    expect((await muxer.createStream()).streamId).toBe(5);
  });

  it('answers pings while the peer reads, and closes the connection of one that does not', () => {
    const { connection } = listening();
    connection.hear(PING, FLAG.syn, 0, 77);
    expect(connection.frames).toMatchObject([{ type: PING, flags: FLAG.ack, streamId: 0, length: 77 }]);
    connection.open = false;
    for (let i = 0; i < 2; i++) connection.hear(PING, FLAG.syn, 0, i);
    expect(connection.status).toBe('open');
    connection.hear(PING, FLAG.syn, 0, 2);
    expect(connection.status).toBe('aborted');
  });

  it('closes the connection for what the protocol does not have', () => {
    const wrong: [string, number, number, number][] = [
      ['a type', 4, 0, 0],
      ['a ping on a stream', PING, FLAG.syn, 1],
      ['an answer to no ping', PING, FLAG.ack, 0],
      ['data for the connection', DATA, 0, 0],
      ['a stream with an id of the other side', WINDOW, FLAG.syn, 2],
    ];
    for (const [what, type, flags, streamId] of wrong) {
      const { connection } = listening();
      connection.hear(type, flags, streamId, 0);
      expect(connection.status, what).toBe('aborted');
    }
    const { connection } = listening();
    connection.onData(new Uint8Array(12).fill(1));
    expect(connection.status).toBe('aborted');
  });

  it('ends streams of both kinds of farewell', async () => {
    for (const [reason, status] of [
      [0, 'closed'],
      [2, 'aborted'],
    ] as const) {
      const { connection, muxer, streams } = listening();
      connection.hear(WINDOW, FLAG.syn, 1, 0);
      connection.hear(GO_AWAY, 0, 0, reason);
      expect(streams[0]!.status).toBe(status);
      await expect(muxer.createStream()).rejects.toMatchObject({ name: 'MuxerClosedError' });
    }
  });

  it('ends a stream when both sides have said so, and delivers what came before', async () => {
    const { connection, streams } = listening();
    connection.hear(WINDOW, FLAG.syn, 1, 0);
    connection.hear(DATA, FLAG.fin, 1, 3, Uint8Array.of(1, 2, 3));
    const stream: Stream = streams[0]!;
    const received = new Promise<number>((resolve) =>
      stream.addEventListener('message', ({ data }) => resolve(data.byteLength)),
    );
    expect(await received).toBe(3);
    stream.send(Uint8Array.of(4));
    await stream.close();
    expect(stream.status).toBe('closed');
    expect(connection.frames.map(({ type, flags }) => [type, flags])).toEqual([
      [DATA, FLAG.ack],
      [WINDOW, FLAG.fin],
    ]);
  });
});
