/** The store's own log records: a batch, and a final block. Everything else in the log is the consensus core's. */

import { type BatchDigest, fromHex, toHex } from '@squad/types';
import type { LogPosition, LogRecord, RecordToAppend } from '../api.ts';
import { MAX_CONSENSUS_KIND } from '../limits.ts';
import type { IndexedBlock } from './keys.ts';
import { decodeUint64, encodeUint64 } from './uint64.ts';

const BATCH_KIND: number = MAX_CONSENSUS_KIND + 1;
const FINAL_KIND: number = MAX_CONSENSUS_KIND + 2;

const DIGEST_BYTES = 32;
/** Height, hash, lowest position of bodies, length of the block + 1 if a certificate follows it, else 0. */
const FINAL_HEAD_BYTES = 8 + 32 + 8 + 8;

/** Digest, then the batch. */
export function encodeBatchRecord(digest: BatchDigest, bytes: Uint8Array): RecordToAppend {
  return { kind: BATCH_KIND, head: fromHex(digest), payload: bytes };
}

export function batchBytes(payload: Uint8Array): Uint8Array {
  return payload.subarray(DIGEST_BYTES);
}

export function encodeFinalRecord(block: IndexedBlock): LogRecord {
  const certificate = block.certificate;
  const payload = new Uint8Array(FINAL_HEAD_BYTES + block.block.length + (certificate?.length ?? 0));
  payload.set(encodeUint64(block.height));
  payload.set(fromHex(block.hash), 8);
  payload.set(encodeUint64(block.bodiesFrom), 40);
  payload.set(encodeUint64(certificate === undefined ? 0 : block.block.length + 1), 48);
  payload.set(block.block, FINAL_HEAD_BYTES);
  if (certificate !== undefined) payload.set(certificate, FINAL_HEAD_BYTES + block.block.length);
  return { kind: FINAL_KIND, payload };
}

function decodeFinalRecord(payload: Uint8Array): IndexedBlock {
  const split = decodeUint64(payload, 48);
  const blockEnd = split === 0 ? payload.length : FINAL_HEAD_BYTES + split - 1;
  return {
    height: decodeUint64(payload),
    hash: toHex(payload.subarray(8, 40)),
    bodiesFrom: decodeUint64(payload, 40),
    block: payload.slice(FINAL_HEAD_BYTES, blockEnd),
    certificate: split === 0 ? undefined : payload.slice(blockEnd),
  };
}

export type StoreRecord =
  | { readonly type: 'consensus' }
  | { readonly type: 'batch'; readonly digest: BatchDigest; readonly position: LogPosition }
  | { readonly type: 'final'; readonly block: IndexedBlock };

/** Log records are checksummed, so their form is not doubted here. */
export function decodeStoreRecord(record: LogRecord & { readonly position: LogPosition }): StoreRecord {
  switch (record.kind) {
    case BATCH_KIND:
      return { type: 'batch', digest: toHex(record.payload.subarray(0, DIGEST_BYTES)), position: record.position };
    case FINAL_KIND:
      return { type: 'final', block: decodeFinalRecord(record.payload) };
    default:
      return { type: 'consensus' };
  }
}
