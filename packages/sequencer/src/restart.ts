/** What a node that starts again reads back from its store. */

import type { ConsensusRecord } from '@squad/consensus';
import { keccak256 } from '@squad/crypto/node';
import type { NodeStore } from '@squad/storage';
import { batchDigest, bodyTransactions, decodeBatch, type SignedBatchHeader, toHex } from '@squad/types';
import type { EpochRun } from './epoch-run.ts';
import { decodeRecord } from './records.ts';
import type { Transactions } from './transactions.ts';

/** The core's records, and the batches that were held since the last checkpoint, or the last end of an epoch. */
export async function readRecords(
  store: Pick<NodeStore, 'replayConsensus'>,
): Promise<{ readonly records: ConsensusRecord[]; readonly batches: SignedBatchHeader[] }> {
  const records: ConsensusRecord[] = [];
  let batches: SignedBatchHeader[] = [];
  for await (const record of store.replayConsensus()) {
    const decoded = decodeRecord(record);
    if (decoded.type === 'batch') batches.push(decoded.signed);
    else records.push(decoded);
    if (decoded.type === 'checkpoint' || decoded.type === 'epochEnded') batches = [];
  }
  return { records, batches };
}

/** Own batches that are not final yet, of this epoch and those that are handed on: their transactions are pending again. */
export async function rememberOwnTransactions(
  { epoch, self, lanes, handedOn }: EpochRun,
  store: Pick<NodeStore, 'readBatch'>,
  transactions: Transactions,
): Promise<void> {
  const own = lanes.unordered().filter(({ header }) => header.author === self);
  for (const { header } of [...handedOn(), ...own]) {
    const bytes = await store.readBatch(toHex(batchDigest(header)));
    const batch = bytes && decodeBatch(bytes);
    if (!batch?.ok) continue;
    const hashes = bodyTransactions(batch.value.body).map((transaction) => toHex(keccak256(transaction)));
    for (const hash of hashes) transactions.accept(hash, header.rollupId);
    // What is handed on has no place in a lane any more.
    if (header.epoch === epoch) transactions.sealed(header.seq, header.rollupId, hashes);
  }
}
