/** The methods that hand out proofs: what a client verifies off-line, whoever gave it. */

import { defineMethod, Hash, type RpcMethod } from '@squad/service';
import { receiptToJson } from '@squad/types';
import type { SequencerApi } from './api.ts';
import { blockProofJson } from './format.ts';
import { HeightParam, heightOf } from './parameters.ts';

export function receiptMethods(node: Pick<SequencerApi, 'receipt' | 'blockProof' | 'status'>): RpcMethod[] {
  return [
    defineMethod({
      name: 'squad_getReceipt',
      summary:
        'The ordering receipt of a transaction: proves its place, that nothing of its rollup was left out, its stage',
      params: { hash: Hash },
      result: {
        name: 'receipt',
        description: 'The JSON form of docs/receipts.md, or null if the transaction is neither soft nor final here',
      },
      handler: async ({ hash }) => {
        const receipt = await node.receipt(hash);
        return receipt === undefined ? null : receiptToJson(receipt);
      },
    }),
    defineMethod({
      name: 'squad_getBlockProof',
      summary: 'A block with all its refs and its certificate: proves which batches it orders for a rollup, or none',
      params: { height: HeightParam },
      result: {
        name: 'proof',
        description:
          '{stage, height, hash, encoded}, encoded being the SSZ of a BlockProof; or null if there is none here',
      },
      handler: async ({ height }) => {
        const proof = await node.blockProof(heightOf(node, height));
        return proof === undefined ? null : blockProofJson(proof);
      },
    }),
  ];
}
