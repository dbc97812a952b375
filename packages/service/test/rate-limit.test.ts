/** Token buckets on a clock of the test's own. */

import { describe, expect, it } from 'vitest';
import { AddressBuckets, TokenBucket } from '../src/index.ts';

describe('a token bucket', () => {
  it('gives its burst at once, then its rate, and says how long to wait', () => {
    const bucket = new TokenBucket({ perSecond: 4, burst: 3 }, 0);
    expect([1, 1, 1].map((tokens) => bucket.take(tokens, 0))).toEqual([0, 0, 0]);
    expect(bucket.take(1, 0)).toBe(250);
    expect(bucket.take(1, 125)).toBe(125);
    expect(bucket.take(1, 250)).toBe(0);
    expect(bucket.take(1, 250)).toBe(250);
  });

  it('saves up no more than its burst, and a clock that goes back gives nothing', () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 2 }, 1_000_000);
    expect(bucket.take(2, 9_000_000)).toBe(0);
    expect(bucket.take(1, 9_000_000)).toBe(100);
    expect(bucket.take(1, 0)).toBe(100);
  });

  it('lets a full bucket pay for what costs more than it holds', () => {
    const bucket = new TokenBucket({ perSecond: 1, burst: 5 }, 0);
    expect(bucket.take(100, 0)).toBe(0);
    expect(bucket.take(1, 0)).toBe(1_000);
  });
});

describe('buckets by address', () => {
  it('are apart, and the one unused for longest makes room', () => {
    const buckets = new AddressBuckets({ perSecond: 0.001, burst: 1 }, 2);
    expect([buckets.take('a', 1, 0), buckets.take('b', 1, 0)]).toEqual([0, 0]);
    expect(buckets.take('a', 1, 0)).toBeGreaterThan(0);
    expect(buckets.take('c', 1, 0)).toBe(0);
    expect(buckets.size).toBe(2);
    expect(buckets.take('a', 1, 0)).toBeGreaterThan(0);
    expect(buckets.take('b', 1, 0)).toBe(0);
  });
});
