/** Batches and blocks: sealing, verifying, SSZ. A batch of 500 transactions of 256 bytes, which fills the default size. */

import { bodyRoot, signBatchHeader } from '@squad/crypto';
import { createNodeKey, keccak256, sha256, verifyBatch } from '@squad/crypto/node';
import {
  type BatchHeader,
  Block,
  batchDigest,
  blockHash,
  bodyTransactions,
  decodeBatch,
  encodeBatch,
  encodeBody,
  genesisBlock,
  ZERO_HASH,
} from '@squad/types';
import type { MicroSuite } from './suite.ts';

const TRANSACTIONS = 500;
const TRANSACTION_BYTES = 256;
const REFS = 16;

export async function batches(suite: MicroSuite): Promise<void> {
  const key = createNodeKey(new Uint8Array(32).fill(1));
  const networkId = new Uint8Array(32).fill(2);
  const transactions = Array.from({ length: TRANSACTIONS }, (_, i) => new Uint8Array(TRANSACTION_BYTES).fill(i & 0xff));
  const seal = (seq: number) => {
    const body = encodeBody(transactions);
    const header: BatchHeader = {
      networkId,
      epoch: 0,
      author: 0,
      seq,
      previousDigest: ZERO_HASH,
      rollupId: 901,
      bodyRoot: bodyRoot(body, sha256),
      byteLength: body.length,
      transactionCount: TRANSACTIONS,
      createdAtMs: 0,
      joinsNext: false,
    };
    return { batch: { signed: signBatchHeader(header, key), body }, digest: batchDigest(header) };
  };
  await suite.time('batch-seal-128k', 1, (call) => void seal(call));
  const { batch } = seal(0);
  await suite.time('batch-verify-128k', 1, () => {
    if (!verifyBatch(batch, key.publicKey, networkId).ok) throw new Error('the batch is not valid');
  });
  const encoded = encodeBatch(batch);
  await suite.time('batch-encode-128k', 1, () => void encodeBatch(batch));
  await suite.time('batch-decode-128k', 1, () => void decodeBatch(encoded));
  await suite.time('body-transactions-500', 1, () => void bodyTransactions(batch.body));
  await suite.time('transaction-hash-256', TRANSACTIONS, () => {
    for (const transaction of transactions) keccak256(transaction);
  });
  await suite.time('transaction-hex-256', TRANSACTIONS, () => {
    for (const transaction of transactions) Buffer.from(transaction.buffer).toString('hex');
  });
  await blocks(suite);
}

async function blocks(suite: MicroSuite): Promise<void> {
  const { header } = genesisBlock(new Uint8Array(32).fill(2), 0);
  const refs = Array.from({ length: REFS }, (_, seq) => ({
    author: seq % 4,
    seq,
    rollupId: 901,
    digest: ZERO_HASH,
    joinsNext: false,
  }));
  const block: Block = { header, refs };
  const encoded = Block.serialize(block);
  await suite.time('block-encode-16-refs', 1, () => void Block.serialize(block));
  await suite.time('block-decode-16-refs', 1, () => void Block.deserialize(encoded));
  await suite.time('block-hash', 1, () => void blockHash(header));
}
