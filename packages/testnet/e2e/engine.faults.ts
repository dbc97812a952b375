/**
 * The rollup node's execution against a real geth's, block by block: the engine driver in this process gives geth what the
 * node derived of transactions of every kind, and geth has to hold each block for valid. Run by `npm run faults`.
 */

import { it } from 'vitest';
import { compareWithGeth } from './engine-compare.ts';
import { GETH_VERSION } from './geth.ts';

/** A busy machine takes minutes: geth is told of one block after the other. */
const TIMEOUT_MS = 900_000;

it.skipIf(GETH_VERSION === undefined).each(['prague', 'osaka'] as const)(
  'geth comes to the same in 500 blocks, though it is killed: %s',
  (hardfork) => compareWithGeth({ hardfork, blocks: 500, killAfter: 250, seed: 1 }),
  TIMEOUT_MS,
);
