/** Receipts of a bundle: only those of one whole bundle, each once, show that it was ordered as one. */

import { blstBls, sha256 } from '@squad/crypto/node';
import { FeedStage, MAX_BUNDLE_BATCHES, OrderingReceipt, parseGenesis, toHex } from '@squad/types';
import { describe, expect, it } from 'vitest';
import { checkpointOf, proveTransaction, verifyBundle } from '../src/index.ts';
import { HonestChain, transaction } from '../src/testing/index.ts';

const bls = blstBls;
const chain = new HonestChain({ bls, sha256 });
const genesis = parseGenesis(chain.genesisFile);
if (!genesis.ok) throw genesis.error;
const checkpoint = checkpointOf(genesis.value);

const plan = (number: number, joinsNext: boolean, author = 0) => ({
  rollupId: 901 + (number % 2),
  transactions: [transaction(100, number)],
  author,
  joinsNext,
});
/** One batch, a bundle of three, one of two, one batch; then a bundle in another lane; in the next block one of sixteen. */
chain.append([
  plan(0, false),
  ...[1, 2, 3].map((number) => plan(number, number < 3)),
  ...[4, 5].map((number) => plan(number, number < 5)),
  plan(6, false),
  ...[7, 8].map((number) => plan(number, number < 8, 1)),
]);
chain.append(Array.from({ length: MAX_BUNDLE_BATCHES }, (_, i) => plan(20 + i, i < MAX_BUNDLE_BATCHES - 1)));

function receiptOf(batchIndex: number, height = 1, stage: FeedStage = FeedStage.final): OrderingReceipt {
  const proof = chain.blockProof(height, { stage });
  const batch = chain.batchOf(proof.block.refs[batchIndex]!);
  return proveTransaction(proof, batch, { batchIndex, transactionIndex: 0 }, { sha256 });
}
const receipts = (...indices: readonly number[]) => indices.map((index) => receiptOf(index));
const refusal = (of: readonly (Uint8Array | OrderingReceipt)[]) => {
  const verified = verifyBundle(of, checkpoint, { bls });
  return verified.ok ? undefined : verified.error.message;
};

describe('a bundle', () => {
  it('is proven by a receipt of each of its transactions, in any order, as values or bytes', () => {
    const bytes = receipts(3, 1, 2).map((receipt) => OrderingReceipt.serialize(receipt));
    const verified = verifyBundle(bytes, checkpoint, { bls });
    if (!verified.ok) throw verified.error;
    expect(verified.value).toMatchObject({ stage: 'final', author: 0, header: { height: 1 } });
    expect(verified.value.transactions.map((one) => toHex(one.transaction))).toEqual(
      [1, 2, 3].map((number) => toHex(transaction(100, number))),
    );
    for (const whole of [[4, 5], [7, 8], [0]]) expect(refusal(receipts(...whole))).toBeUndefined();
  });

  it('may have 16 batches', () => {
    const all = Array.from({ length: MAX_BUNDLE_BATCHES }, (_, i) => receiptOf(i, 2));
    expect(refusal(all)).toBeUndefined();
    expect(refusal([...all, receiptOf(0)])).toMatch(/17 receipts/);
    expect(refusal([])).toMatch(/0 receipts/);
  });

  it.each([
    ['without its first', [2, 3], /not its first/],
    ['without its last', [1, 2], /not its last/],
    ['without one in the middle', [1, 3], /does not follow/],
    ['with what follows it', [4, 5, 6], /ends with ref 5/],
    ['together with the next one', [1, 2, 3, 4, 5], /ends with ref 3/],
    ['with one of them twice', [1, 1, 2, 3], /does not follow/],
    ['together with that of another lane', [6, 7, 8], /ends with ref 6/],
  ])('%s is none', (_what, indices, reason) => {
    expect(refusal(receipts(...indices))).toMatch(reason);
  });

  it('of two blocks is none', () => {
    expect(refusal([...receipts(1, 2), receiptOf(15, 2)])).toMatch(/of two blocks/);
  });

  it('is as final as the best of its receipts', () => {
    const soft = [4, 5].map((index) => receiptOf(index, 1, FeedStage.soft));
    expect(verifyBundle(soft, checkpoint, { bls })).toMatchObject({ ok: true, value: { stage: 'soft' } });
    expect(verifyBundle([soft[0]!, receiptOf(5)], checkpoint, { bls })).toMatchObject({ value: { stage: 'final' } });
  });

  it('is refused with a receipt that proves nothing by itself', () => {
    const [first, second] = receipts(4, 5) as [OrderingReceipt, OrderingReceipt];
    const forged = { ...second, batchHeader: { ...second.batchHeader, joinsNext: true } };
    expect(refusal([first, forged])).toMatch(/not that of ref 5/);
  });
});
