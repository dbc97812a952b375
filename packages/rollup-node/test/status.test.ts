/** The line for people: it says when no sequencer is reached, which nothing else on standard error does. */

import { expect, it } from 'vitest';
import { type NodeState, statusFields } from '../src/status.ts';

it.each([
  [[], expect.stringContaining('genesis file')],
  [['lost', 'lost'], expect.stringContaining('genesis file')],
  [['lost', 'open', 'open'], 2],
])('feeds %j', (states, feeds) => {
  const state = {
    follower: { head: { height: 7 }, setHead: undefined, feeds: states.map((each) => ({ state: each })) },
    measured: { finalLagMs: undefined, transactions: 0 },
    executor: { latest: { number: 3 } },
  } as unknown as NodeState;
  expect(statusFields(state)).toMatchObject({ block: 3, height: 7, feeds });
});
