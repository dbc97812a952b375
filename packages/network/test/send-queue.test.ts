/** The send queue against a plain model of it, and token buckets. */

import { describe, expect, it } from 'vitest';
import { TokenBucket } from '../src/rate-limit.ts';
import { SendQueue } from '../src/send-queue.ts';
import { random } from './random.ts';

describe('send queue', () => {
  it('sends each frame whole or not at all, in order, and drops the oldest', () => {
    const draw = random(2);
    for (let run = 0; run < 100; run++) {
      const maxBytes = 200 + draw(2_000);
      const queue = new SendQueue(maxBytes);
      const sent: number[] = [];
      let pushed = 0;
      let dropped = 0;
      for (let step = 0; step < 300; step++) {
        if (draw(2) === 0) {
          // A frame's first two bytes name it, the next two its length.
          const frame = new Uint8Array(4 + draw(150));
          new DataView(frame.buffer).setUint32(0, (pushed++ << 16) | frame.length);
          dropped += queue.push(frame);
        } else {
          sent.push(...(queue.take(1 + draw(200)) ?? []));
        }
        expect(queue.bytes).toBeLessThanOrEqual(maxBytes);
      }
      for (let part = queue.take(64); part !== undefined; part = queue.take(64)) sent.push(...part);
      const names = namesIn(Uint8Array.from(sent));
      expect(names.length + dropped).toBe(pushed);
      expect(names).toEqual(names.toSorted((a, b) => a - b));
      expect(queue.bytes).toBe(0);
      expect(queue.frames).toBe(0);
    }
  });

  it('does not drop a frame that has begun to leave', () => {
    const queue = new SendQueue(100);
    queue.push(new Uint8Array(60).fill(1));
    expect(queue.take(10)).toEqual(new Uint8Array(10).fill(1));
    expect(queue.push(new Uint8Array(40).fill(2))).toBe(0);
    expect(queue.push(new Uint8Array(50).fill(3))).toBe(1);
    expect(queue.take(1_000)).toEqual(Uint8Array.from([...new Uint8Array(50).fill(1), ...new Uint8Array(50).fill(3)]));
  });

  it('drops a frame that is larger than the queue, and tells what clearing loses', () => {
    const queue = new SendQueue(10);
    expect(queue.push(new Uint8Array(11))).toBe(1);
    queue.push(new Uint8Array(5));
    queue.push(new Uint8Array(5));
    expect(queue.clear()).toBe(2);
    expect(queue.take(10)).toBeUndefined();
  });
});

describe('token bucket', () => {
  it('allows the burst, then the rate', () => {
    const bucket = new TokenBucket({ perSecond: 100, burst: 50 }, 0);
    expect(bucket.take(50, 0)).toBe(0);
    expect(bucket.inCredit(0)).toBe(false);
    expect(bucket.take(10, 0)).toBe(100);
    expect(bucket.take(0, 100)).toBe(0);
    expect(bucket.take(50, 600)).toBe(0);
    expect(bucket.take(1, 600)).toBe(10);
    // A clock that goes back gives nothing.
    expect(bucket.take(0, 0)).toBe(10);
  });
});

function namesIn(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer);
  const names: number[] = [];
  for (let offset = 0; offset < bytes.length; offset += view.getUint16(offset + 2)) names.push(view.getUint16(offset));
  return names;
}
