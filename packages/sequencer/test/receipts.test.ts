/** Receipts as nodes make them: for whatever was ordered, whoever ordered it, verified against the genesis file alone. */

import { checkpointOf, verifyNamespace, verifyReceipt } from '@squad/client';
import { blstBls, keccak256 } from '@squad/crypto/node';
import { type TransactionHash, toHex } from '@squad/types';
import { afterEach, describe, expect, it } from 'vitest';
import { createSequencerApi } from '../src/node-api.ts';
import type { SequencerApi } from '../src/rpc/index.ts';
import { genesisSchedule } from '../src/validator-sets.ts';
import { Cluster, OTHER_ROLLUP, ROLLUP, type TestNode, transaction, until } from './support.ts';

let cluster: Cluster;
afterEach(() => cluster.close());

function apiOf(node: TestNode): SequencerApi {
  const { sequencer, store, network } = node;
  const { genesis } = cluster;
  const validatorSets = genesisSchedule(genesis);
  const feed = undefined as never;
  return createSequencerApi({ genesis, validatorSets, sequencer, store, feed, network, version: '0' });
}

const hashOf = (raw: Uint8Array): TransactionHash => toHex(keccak256(raw));

describe('a sequencer', () => {
  it('gives receipts of what any of them ordered, and proofs of every block', async () => {
    cluster = new Cluster();
    await cluster.start();
    const apis = cluster.nodes.map(apiOf);
    const checkpoint = checkpointOf(cluster.genesis);
    const sent = cluster.nodes.flatMap((_, author) =>
      // More than one batch of 4 KiB, of more than one chunk each.
      Array.from({ length: 30 }, (_, number) => transaction(author, number, 400)),
    );
    for (const [index, node] of cluster.nodes.entries()) {
      await node.submit(sent.slice(30 * index, 30 * (index + 1)), index === 3 ? OTHER_ROLLUP : ROLLUP);
    }
    for (const [index, raw] of sent.entries()) {
      for (const api of apis) {
        await until('a final receipt', async () => {
          const receipt = await api.receipt(hashOf(raw));
          if (!receipt) return false;
          const verified = verifyReceipt(receipt, checkpoint, { bls: blstBls });
          if (!verified.ok) throw verified.error;
          expect(toHex(verified.value.transaction)).toBe(toHex(raw));
          expect(verified.value.rollupId).toBe(index >= 90 ? OTHER_ROLLUP : ROLLUP);
          return verified.value.stage === 'final';
        });
      }
    }
    const [api] = apis as [SequencerApi];
    let refs = 0;
    for (let height = 1; height <= api.status().final.height; height++) {
      const proof = await api.blockProof(height);
      const namespace = verifyNamespace(proof!, OTHER_ROLLUP, checkpoint, { bls: blstBls });
      if (!namespace.ok) throw namespace.error;
      refs += namespace.value.refs.length;
    }
    expect(refs).toBeGreaterThan(1);
    expect(await api.receipt(hashOf(transaction(9, 9)))).toBeUndefined();
    expect(await api.blockProof(api.status().final.height + 100)).toBeUndefined();
  });

  it('gives a soft receipt while a transaction is soft', async () => {
    cluster = new Cluster();
    await cluster.start();
    const [node] = cluster.nodes as [TestNode];
    const api = apiOf(node);
    const raw = transaction(0, 1);
    // Asked for in the very turn in which the block becomes soft.
    const receipt = new Promise<Awaited<ReturnType<SequencerApi['receipt']>>>((resolve, reject) => {
      node.sequencer.listen(({ stage, block }) => {
        if (stage === 'soft' && block.refs.length > 0) api.receipt(hashOf(raw)).then(resolve, reject);
      });
    });
    await node.submit([raw]);
    const verified = verifyReceipt((await receipt)!, checkpointOf(cluster.genesis), { bls: blstBls });
    if (!verified.ok) throw verified.error;
    expect(toHex(verified.value.transaction)).toBe(toHex(raw));
    expect(verified.value.stage).toBe('soft');
  });
});
