/** Virtual time ends with the run, and so does what is under way then. */

import { EventQueue, Random } from '@squad/consensus/sim';
import { expect, it } from 'vitest';
import { VirtualTime } from '../src/node/time.ts';

it('what is under way when a run ends sets no timer of this process', async () => {
  const time = new VirtualTime(new EventQueue(), 0, new Random('under way'));
  const timer = Promise.withResolvers<unknown>();
  const slowly = async () => {
    for (let i = 0; i < 50; i++) await undefined;
    timer.resolve(setTimeout(() => {}, 1));
  };
  await time.during(async () => void slowly());
  expect(await timer.promise).not.toBeInstanceOf(setTimeout(() => {}, 0).constructor);
});
