/** What the queue promises: turns come in the order of the places, whoever is ready first. */

import { expect, it } from 'vitest';
import { Queue } from '../src/rpc/queue.ts';

it('gives turns in the order in which places were taken, whoever is ready or gives up first', async () => {
  const queue = new Queue();
  const turns: number[] = [];
  const ready = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
  const work = ready.map(async ({ promise }, index) => {
    const place = queue.enter();
    try {
      await promise;
      await place.turn;
      turns.push(index);
    } finally {
      place.leave();
    }
  });
  ready[4]!.resolve();
  ready[2]!.resolve();
  ready[1]!.reject(new Error('refused'));
  await expect(work[1]).rejects.toThrow('refused');
  expect(turns).toEqual([]);
  ready[0]!.resolve();
  await work[2];
  expect(turns).toEqual([0, 2]);
  ready[3]!.resolve();
  await Promise.all([work[3], work[4]]);
  expect(turns).toEqual([0, 2, 3, 4]);
});
