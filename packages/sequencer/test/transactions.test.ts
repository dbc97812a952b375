/** What became of transactions: pending, soft, final, with their place, and how long it is remembered. */

import { type Block, blockHashHex, genesisBlock, toHex } from '@squad/types';
import { describe, expect, it } from 'vitest';
import { MAX_REMEMBERED_TRANSACTIONS, Transactions } from '../src/transactions.ts';
import { createGenesis, OTHER_ROLLUP, ROLLUP, refOf, sealBatch, transaction } from './support.ts';

const genesis = createGenesis(4);
const SELF = 1;

function blockOf(height: number, places: readonly { author: number; seq: number; rollupId?: number }[]): Block {
  const { header } = genesisBlock(genesis.networkId, 0);
  const refs = places.map(({ author, seq, rollupId = ROLLUP }) => refOf(sealBatch(genesis, author, { seq, rollupId })));
  return { header: { ...header, height }, refs };
}
const hashes = (count: number, from = 0) => Array.from({ length: count }, (_, i) => toHex(transaction(0, from + i)));

describe('a transaction', () => {
  it('is pending from its acceptance on, then soft, then final, with its place', () => {
    const transactions = new Transactions(SELF);
    const [a, b] = hashes(2) as [`0x${string}`, `0x${string}`];
    expect([transactions.has(a), transactions.status(a)]).toEqual([false, undefined]);
    for (const hash of [a, b]) transactions.accept(hash, OTHER_ROLLUP);
    expect(transactions.status(b)).toEqual({ status: 'pending', rollupId: OTHER_ROLLUP });
    transactions.sealed(7, OTHER_ROLLUP, [a, b]);
    expect(transactions.status(b)).toEqual({ status: 'pending', rollupId: OTHER_ROLLUP });

    const block = blockOf(5, [
      { author: 0, seq: 7 },
      { author: SELF, seq: 7, rollupId: OTHER_ROLLUP },
    ]);
    const place = {
      rollupId: OTHER_ROLLUP,
      height: 5,
      blockHash: blockHashHex(block.header),
      batchIndex: 1,
      author: SELF,
      seq: 7,
      transactionIndex: 1,
    };
    transactions.placed('soft', block);
    expect(transactions.status(b)).toEqual({ status: 'soft', ...place });
    transactions.placed('final', block);
    expect(transactions.status(b)).toEqual({ status: 'final', ...place });
    expect(transactions.status(a)).toMatchObject({ status: 'final', transactionIndex: 0 });
  });

  it('takes the place of the block that becomes final, not of the one that was soft', () => {
    const transactions = new Transactions(SELF);
    const [hash] = hashes(1) as [`0x${string}`];
    transactions.accept(hash, ROLLUP);
    transactions.sealed(0, ROLLUP, [hash]);
    transactions.placed('soft', blockOf(5, [{ author: SELF, seq: 0 }]));
    const final = blockOf(6, [{ author: SELF, seq: 0 }]);
    transactions.placed('final', final);
    transactions.placed('soft', blockOf(8, [{ author: SELF, seq: 0 }]));
    expect(transactions.status(hash)).toMatchObject({
      status: 'final',
      height: 6,
      blockHash: blockHashHex(final.header),
    });
  });

  it('is not moved by another author’s batch of the same place', () => {
    const transactions = new Transactions(SELF);
    const [hash] = hashes(1) as [`0x${string}`];
    transactions.accept(hash, ROLLUP);
    transactions.sealed(3, ROLLUP, [hash]);
    transactions.placed('final', blockOf(5, [{ author: 2, seq: 3 }]));
    expect(transactions.status(hash)?.status).toBe('pending');
  });
});

it('remembers final ones up to the limit, the oldest go first; pending ones stay', () => {
  const transactions = new Transactions(SELF);
  const many = Array.from({ length: MAX_REMEMBERED_TRANSACTIONS }, (_, i): `0x${string}` => `0x${i.toString(16)}`);
  const [pending, last] = ['0xpending', '0xlast'] as [`0x${string}`, `0x${string}`];
  for (const hash of [pending, ...many, last]) transactions.accept(hash, ROLLUP);
  transactions.sealed(0, ROLLUP, many);
  transactions.sealed(1, ROLLUP, [last]);
  transactions.placed('final', blockOf(1, [{ author: SELF, seq: 0 }]));
  expect(transactions.has(many[0]!)).toBe(true);
  transactions.placed('final', blockOf(2, [{ author: SELF, seq: 1 }]));
  expect([transactions.has(many[0]!), transactions.has(many[1]!), transactions.has(last)]).toEqual([false, true, true]);
  expect(transactions.status(pending)?.status).toBe('pending');
});
