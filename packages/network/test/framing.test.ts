/** Frames on a byte stream, cut anywhere. */

import { describe, expect, it } from 'vitest';
import { encodeFrame, FrameDecoder, FramingError } from '../src/framing.ts';
import { random } from './random.ts';

function decodeAll(decoder: FrameDecoder, bytes: Uint8Array, chunk: (left: number) => number): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const length = Math.min(chunk(bytes.length - offset), bytes.length - offset);
    frames.push(...decoder.push(bytes.subarray(offset, offset + length)));
    offset += length;
  }
  return frames;
}

describe('frame decoder', () => {
  it('gives back the frames, however the stream is cut', () => {
    const draw = random(1);
    for (let run = 0; run < 200; run++) {
      const frames = Array.from({ length: 1 + draw(6) }, () => bytes(draw, 1 + draw(draw(4) === 0 ? 40_000 : 300)));
      const stream = Buffer.concat(frames.map(encodeFrame));
      const largest = 1 + draw(run % 2 === 0 ? 7 : 20_000);
      const decoded = decodeAll(new FrameDecoder(40_001), stream, () => 1 + draw(largest));
      expect(decoded.length).toBe(frames.length);
      for (const [i, frame] of frames.entries()) expect(Buffer.compare(decoded[i]!, frame)).toBe(0);
    }
  });

  it('takes a frame at the limit and throws for one more byte, before its bytes come', () => {
    const decoder = new FrameDecoder(10);
    expect([...decoder.push(encodeFrame(new Uint8Array(10)))]).toHaveLength(1);
    expect(() => [...decoder.push(Uint8Array.of(11, 0, 0, 0))]).toThrow(FramingError);
    expect(() => [...new FrameDecoder(10).push(Uint8Array.of(0, 0, 0, 0))]).toThrow(/0 bytes/);
    expect(() => [...new FrameDecoder(10).push(Uint8Array.of(255, 255, 255, 255))]).toThrow(/4294967295/);
  });

  it('does not keep a chunk of bodies alive for a small frame, nor a chunk at all', () => {
    const chunk = Buffer.concat([encodeFrame(new Uint8Array(200)), encodeFrame(new Uint8Array(100_000))]);
    const [vote, body] = [...new FrameDecoder(200_000).push(chunk)];
    chunk.fill(1);
    expect(vote!.buffer.byteLength).toBe(200);
    expect(body!.buffer.byteLength).toBe(100_000);
    expect(body!.every((byte) => byte === 0)).toBe(true);
    expect(vote!.constructor).toBe(Uint8Array);
  });

  it('holds a frame that comes byte by byte in little more than its size', () => {
    const decoder = new FrameDecoder(2_000_000);
    const framed = encodeFrame(new Uint8Array(1_000_000).fill(5));
    globalThis.gc?.();
    const before = process.memoryUsage();
    for (let i = 0; i < framed.length - 1; i++) for (const _ of decoder.push(framed.subarray(i, i + 1))) expect.fail();
    const after = process.memoryUsage();
    expect(decoder.bufferedBytes).toBe(999_999);
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(4_000_000);
    const [frame] = [...decoder.push(framed.subarray(-1))];
    expect(frame!.every((byte) => byte === 5)).toBe(true);
  });
});

function bytes(draw: (below: number) => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => draw(256));
}
