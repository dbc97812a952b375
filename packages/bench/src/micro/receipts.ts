/** Receipts: making and verifying one of a usual block, and verifying the costliest that decodes. */

import { checkpointOf, proveTransaction, verifyReceipt } from '@squad/client';
import { HonestChain, transaction } from '@squad/client/testing';
import { nobleBls } from '@squad/crypto';
import { blstBls, keccak256, sha256 } from '@squad/crypto/node';
import {
  MAX_BATCH_REFS_PER_BLOCK,
  MAX_BLOCKS_PER_RANGE,
  MAX_TRANSACTION_BYTES,
  MAX_VALIDATORS,
  OrderingReceipt,
  parseGenesis,
} from '@squad/types';
import type { MicroSuite } from './suite.ts';

const ROLLUP = 901;

export async function receipts(suite: MicroSuite): Promise<void> {
  const usual = new HonestChain({ bls: blstBls, sha256 });
  const transactions = Array.from({ length: 500 }, (_, i) => transaction(256, i));
  const batches = Array.from({ length: 16 }, (_, author) => ({ rollupId: ROLLUP, author: author % 4, transactions }));
  usual.append(batches);
  await suite.time('receipt-make-128k', 1, () => void receiptOf(usual, 250, 1));
  await verify(suite, 'usual', usual, receiptOf(usual, 250, 1));

  const weights = new Array<number>(MAX_VALIDATORS).fill(1);
  const largest = new HonestChain({ bls: blstBls, sha256, weights });
  const refs = Array.from({ length: MAX_BATCH_REFS_PER_BLOCK - 1 }, (_, i) => ({
    author: i % MAX_VALIDATORS,
    seq: i,
    rollupId: 902,
    digest: new Uint8Array(32).fill(i),
    joinsNext: false,
  }));
  const ref = largest.seal({ rollupId: ROLLUP, transactions: [transaction(MAX_TRANSACTION_BYTES, 1)] });
  largest.appendRefs([ref, ...refs]);
  for (let i = 0; i < MAX_BLOCKS_PER_RANGE; i++) largest.append([]);
  await verify(suite, 'largest', largest, receiptOf(largest, 0, 1 + MAX_BLOCKS_PER_RANGE));
}

function receiptOf(chain: HonestChain, transactionIndex: number, certifiedHeight: number): OrderingReceipt {
  const proof = chain.blockProof(1, { certifiedHeight });
  const batch = chain.batchOf(proof.block.refs[0]!);
  return proveTransaction(proof, batch, { batchIndex: 0, transactionIndex }, { sha256, keccak256 });
}

async function verify(suite: MicroSuite, what: string, chain: HonestChain, receipt: OrderingReceipt): Promise<void> {
  const genesis = parseGenesis(chain.genesisFile);
  if (!genesis.ok) throw genesis.error;
  const checkpoint = checkpointOf(genesis.value);
  const encoded = OrderingReceipt.serialize(receipt);
  for (const options of [{ bls: blstBls, sha256, keccak256 }, { bls: nobleBls }]) {
    await suite.time(`receipt-verify-${what}-${options.bls.name}`, 1, () => {
      if (!verifyReceipt(encoded, checkpoint, options).ok) throw new Error('a receipt that is valid is refused');
    });
  }
}
