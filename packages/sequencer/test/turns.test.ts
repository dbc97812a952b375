/** Heavy work gives way: a little in each round of the event loop, in order, within bounds. */

import { describe, expect, it } from 'vitest';
import { MAX_ROUND_BYTES, MAX_TURNS_PER_ROUND, MAX_TURNS_WAITING_BYTES, Turns } from '../src/turns.ts';

/** How many of these pieces of work each round of the event loop does. */
async function inRounds(bytesOfEach: readonly number[], give: (turns: Turns, bytes: number, work: () => void) => void) {
  const turns = new Turns();
  const rounds: number[][] = [];
  const done = new Promise<void>((resolve) => {
    const next = () => {
      if (rounds.flat().length === bytesOfEach.length) return resolve();
      rounds.push([]);
      setImmediate(next);
    };
    setImmediate(next);
  });
  for (const [i, bytes] of bytesOfEach.entries()) give(turns, bytes, () => rounds.at(-1)!.push(i));
  await done;
  return rounds;
}

const give = {
  'a peer’s batch': (turns: Turns, bytes: number, work: () => void) => turns.take(bytes, work),
  'a client’s call': (turns: Turns, bytes: number, work: () => void) => void turns.next(bytes).then(work),
};

describe.each(Object.entries(give))('of %s', (_, one) => {
  it('does so many small pieces in each round of the event loop, in the order in which they came', async () => {
    const [first, second, ...rest] = await inRounds(Array(MAX_TURNS_PER_ROUND + 1).fill(0), one);
    expect(first).toEqual(Array.from({ length: MAX_TURNS_PER_ROUND }, (_, i) => i));
    expect(second).toEqual([MAX_TURNS_PER_ROUND]);
    expect(rest).toEqual([]);
  });

  it('does no more in a round once it has had its bytes', async () => {
    const rounds = await inRounds([MAX_ROUND_BYTES, 1, 1, MAX_ROUND_BYTES + 1, 1], one);
    expect(rounds).toEqual([[0, 1], [2, 3], [4]]);
  });
});

it('gives turns to work that work asks for, behind what waits', async () => {
  const turns = new Turns();
  const order: number[] = [];
  turns.take(0, () => {
    order.push(1);
    turns.take(0, () => order.push(3));
  });
  turns.take(0, () => order.push(2));
  await turns.next(0);
  await turns.next(0);
  expect(order).toEqual([1, 2, 3]);
});

it('has room for so many bytes of what waits, and again when it is done; clients’ calls do not count', async () => {
  const turns = new Turns();
  const all = new Promise<void>((resolve) => turns.take(MAX_TURNS_WAITING_BYTES - 1, resolve));
  const call = turns.next(MAX_TURNS_WAITING_BYTES);
  expect([turns.hasRoomFor(1), turns.hasRoomFor(2)]).toEqual([true, false]);
  await all;
  await call;
  expect(turns.hasRoomFor(MAX_TURNS_WAITING_BYTES)).toBe(true);
});
