import { expect, it } from 'vitest';
import { Closing } from '../src/index.ts';

it('closes all, the last opened first, once, though one fails; and tells of the first that failed', async () => {
  const closed: string[] = [];
  const closing = new Closing();
  closing.add(() => closed.push('store'));
  closing.add(() => Promise.reject(new Error('the network')));
  closing.add(() => {
    throw new Error('the server');
  });
  await expect(closing.close()).rejects.toThrow('the server');
  expect(closed).toEqual(['store']);
  await closing.close();
  expect(closed).toEqual(['store']);
});
