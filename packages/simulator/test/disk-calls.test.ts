/** Calls of a simulated disk that fail: which one, what fails after it, and what does not count. */

import { MemoryKeyValueStore } from '@squad/storage';
import { describe, expect, it } from 'vitest';
import { callThatFailed, DiskCalls } from '../src/node/disk-calls.ts';

const KEY = new Uint8Array([1]);

function disk() {
  const failures: string[] = [];
  const calls = new DiskCalls(({ message }) => failures.push(message));
  return { calls, failures, index: calls.around(new MemoryKeyValueStore()) };
}

describe('a disk', () => {
  it('fails at the call that it is told, and once if that was a read', async () => {
    const { calls, failures, index } = disk();
    expect(calls.failAt('any', 2)).toBe(true);
    expect(calls.failAt('any', 1)).toBe(false);
    await index.write([[KEY, KEY]]);
    await expect(index.get(KEY)).rejects.toThrow('index.get failed');
    expect(await index.get(KEY)).toEqual(KEY);
    expect(failures).toEqual(['index.get failed']);
  });

  it('takes no more writes after one that failed, in this life', async () => {
    const { calls, failures, index } = disk();
    calls.failAt('index write', 1);
    expect(await index.get(KEY)).toBeUndefined();
    for (let i = 0; i < 2; i++) await expect(index.write([[KEY, KEY]])).rejects.toThrow('index.write failed');
    expect(calls.next('log', 'append', true)).toBeUndefined();
    expect(failures).toEqual(['index.write failed']);
    calls.reset();
    await index.write([[KEY, KEY]]);
    expect(await index.get(KEY)).toEqual(KEY);
  });

  it('does not fail who looks from outside', async () => {
    const { calls, index } = disk();
    calls.failAt('read', 1);
    expect(await calls.aside(() => index.get(KEY))).toBeUndefined();
    const failed = async () => {
      for await (const _ of index.range({})) throw new Error('nothing is there');
    };
    await expect(failed()).rejects.toThrow('index.range failed');
  });

  it('is seen behind an error that another one caused', () => {
    const failure = disk().calls;
    failure.failAt('any', 1);
    const cause = failure.next('log', 'sync', true);
    expect(callThatFailed(new Error('the node stops', { cause }))).toBe(cause);
    expect(callThatFailed(new Error('the node stops'))).toBeUndefined();
  });
});
