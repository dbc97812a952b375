/** Heavy work gives way: one piece a round of the event loop, in order, within a bound. */

import { expect, it } from 'vitest';
import { MAX_TURNS_WAITING_BYTES, Turns } from '../src/turns.ts';

it('does one piece in each round of the event loop, in the order in which they came', async () => {
  const turns = new Turns();
  const seen: string[] = [];
  const rounds = new Promise<void>((resolve) => {
    let round = 0;
    const next = () => {
      seen.push(`round ${++round}`);
      if (round < 4) setImmediate(next);
      else resolve();
    };
    setImmediate(next);
  });
  for (const name of ['a', 'b', 'c']) turns.take(0, () => seen.push(name));
  await rounds;
  expect(seen).toEqual(['round 1', 'a', 'round 2', 'b', 'round 3', 'c', 'round 4']);
});

it('gives turns to work that work asks for, behind what waits', async () => {
  const turns = new Turns();
  const order: number[] = [];
  turns.take(0, () => {
    order.push(1);
    turns.take(0, () => order.push(3));
  });
  await turns.next(0);
  order.push(2);
  await turns.next(0);
  expect(order).toEqual([1, 2, 3]);
});

it('has room for so many bytes of what waits, and again when it is done', async () => {
  const turns = new Turns();
  const all = turns.next(MAX_TURNS_WAITING_BYTES - 1);
  expect([turns.hasRoomFor(1), turns.hasRoomFor(2)]).toEqual([true, false]);
  await all;
  expect(turns.hasRoomFor(MAX_TURNS_WAITING_BYTES)).toBe(true);
});
