/** Finds final transactions by hash: the store's index knows how hashes begin, the batches tell which it is. */

import { keccak256 } from '@squad/crypto/node';
import type { NodeStore, TransactionLocation } from '@squad/storage';
import {
  type BatchRef,
  Block,
  type BlockHeader,
  bodyTransactions,
  decodeBatch,
  equalBytes,
  fromHex,
  type TransactionHash,
  toHex,
} from '@squad/types';

export interface FoundTransaction extends TransactionLocation {
  readonly header: BlockHeader;
  readonly ref: BatchRef;
}

/** Its first place, where it was executed if it was; undefined if it is not final, not indexed yet, or pruned. */
export async function findTransaction(
  store: Pick<NodeStore, 'transactionCandidates' | 'readBlock' | 'readBatch'>,
  hash: TransactionHash,
): Promise<FoundTransaction | undefined> {
  const wanted = fromHex(hash);
  for (const location of await store.transactionCandidates(wanted)) {
    const stored = await store.readBlock(location.height);
    const block = stored && Block.deserialize(stored.block);
    const ref = block?.refs[location.batchIndex];
    const bytes = ref && (await store.readBatch(toHex(ref.digest)));
    const batch = bytes && decodeBatch(bytes);
    const transaction = batch?.ok ? bodyTransactions(batch.value.body)[location.transactionIndex] : undefined;
    if (!block || !ref || !transaction || !equalBytes(keccak256(transaction), wanted)) continue;
    return { ...location, header: block.header, ref };
  }
  return undefined;
}
