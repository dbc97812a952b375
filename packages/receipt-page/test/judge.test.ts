/** What the page says of two files, from their bytes. How it looks in a browser: packages/testnet/e2e/client.e2e.ts. */

import { OrderingReceipt, proveTransaction, receiptToJson, toHex } from '@squad/client';
import { HonestChain } from '@squad/client/testing';
import { blstBls, sha256 } from '@squad/crypto/node';
import { FeedStage } from '@squad/types';
import { expect, it } from 'vitest';
import { judge, MAX_PAGE_FILE_BYTES } from '../src/judge.ts';

const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

const chain = new HonestChain({ bls: blstBls, sha256 });
chain.append([{ rollupId: 901, transactions: [new Uint8Array([1, 2, 3]), new Uint8Array(300).fill(7)] }]);
const genesis = text(chain.genesisFile);

function receiptOf(transactionIndex: number, plan: Parameters<HonestChain['blockProof']>[1] = {}): OrderingReceipt {
  const proof = chain.blockProof(1, plan);
  const batch = chain.batchOf(proof.block.refs[0]!);
  return proveTransaction(proof, batch, { batchIndex: 0, transactionIndex }, { sha256 });
}
const json = (receipt: OrderingReceipt) => text(receiptToJson(receipt));

it('shows what is proven, whatever form the receipt comes in', () => {
  const receipt = receiptOf(1);
  const verdict = judge(genesis, json(receipt), '');
  expect(verdict).toMatchObject({ kind: 'final', title: 'Proven: ordered, and final' });
  expect(verdict.rows).toContainEqual({ name: 'Transaction', value: toHex(receipt.transactionHash), isHex: true });
  expect(verdict.rows.find(({ name }) => name === 'Place')?.value).toContain('transaction 1 of 2 in batch 0');
  expect(verdict.rows.find(({ name }) => name === 'Bytes')?.value).toBe(`0x${'07'.repeat(256)}… and 44 bytes more`);
  expect(judge(genesis, OrderingReceipt.serialize(receipt), '')).toEqual(verdict);
  expect(judge(genesis, text({ jsonrpc: '2.0', id: 1, result: receiptToJson(receipt) }), '')).toEqual(verdict);
});

it('says of a soft one what could still undo it', () => {
  const verdict = judge(genesis, json(receiptOf(0, { stage: FeedStage.soft })), '');
  expect(verdict.kind).toBe('soft');
  expect(verdict.text).toContain('nullified');
});

it('refuses what was changed, and one under a set that is not trusted', () => {
  const changed = OrderingReceipt.serialize(receiptOf(0));
  changed[changed.length - 1]! ^= 1;
  const refused = judge(genesis, changed, '');
  expect(refused).toMatchObject({ kind: 'refused', rows: [] });
  expect(refused.text).not.toContain('later epoch');
  const other = judge(genesis, json(receiptOf(0)), `0x${'AB'.repeat(32)}`);
  expect(other.title).toBe('It proves nothing: WRONG_VALIDATOR_SET');
});

it('does not read a file that shows another transaction beside the one that it proves', () => {
  const shown = new TextDecoder().decode(json(receiptOf(0)));
  const twice = shown.replace('"transaction_hash"', `"transaction_hash":"0x${'ab'.repeat(32)}","transaction_hash"`);
  expect(judge(genesis, new TextEncoder().encode(twice), '')).toMatchObject({
    kind: 'unreadable',
    text: expect.stringContaining('a name stands twice'),
  });
});

it('names the file that is none', () => {
  const receipt = json(receiptOf(0));
  expect(judge(text({}), receipt, '').title).toBe('The genesis file cannot be read');
  expect(judge(genesis, new TextEncoder().encode('{'), '').title).toBe('The receipt cannot be read');
  expect(judge(genesis, new Uint8Array([1, 2]), '').title).toBe('The receipt cannot be read');
  expect(judge(genesis, new Uint8Array(), '').title).toBe('The receipt cannot be read');
  expect(judge(genesis, receipt, '0x12').title).toBe('The hash of the validator set cannot be read');
});

it('reads a file of the largest size and no larger one', () => {
  const padded = (byteLength: number) => {
    const bytes = new Uint8Array(byteLength).fill(0x20);
    bytes.set(genesis);
    return bytes;
  };
  expect(judge(padded(MAX_PAGE_FILE_BYTES), json(receiptOf(0)), '').kind).toBe('final');
  expect(judge(padded(MAX_PAGE_FILE_BYTES + 1), json(receiptOf(0)), '').text).toContain(
    `${MAX_PAGE_FILE_BYTES + 1} bytes`,
  );
});
