/** Batches (R1, R2): a signed run of one rollup's transactions, and the 50-byte reference by which blocks order it. */

import { ContainerType, type ValueOf } from '@chainsafe/ssz';
import { DOMAINS } from './domains.ts';
import { concatBytes } from './ids.ts';
import { MAX_BATCH_BODY_BYTES, MAX_BATCH_TRANSACTIONS, MAX_TRANSACTION_BYTES } from './limits.ts';
import { ok, type Result } from './result.ts';
import { signingRoot } from './signing.ts';
import {
  Bytes32Type,
  Bytes64Type,
  decode,
  decodeError,
  EpochType,
  LaneSeqType,
  plainBytes,
  RollupIdType,
  Uint32,
  UnixMsType,
  ValidatorIndexType,
} from './ssz.ts';

export const BatchHeader = new ContainerType(
  {
    networkId: Bytes32Type,
    epoch: EpochType,
    author: ValidatorIndexType,
    seq: LaneSeqType,
    /** Digest of the lane's batch `seq - 1`; zero for the first. */
    previousDigest: Bytes32Type,
    rollupId: RollupIdType,
    bodyRoot: Bytes32Type,
    byteLength: Uint32,
    transactionCount: Uint32,
    createdAtMs: UnixMsType,
  },
  { typeName: 'BatchHeader', jsonCase: 'eth2' },
);
export type BatchHeader = ValueOf<typeof BatchHeader>;

/** `signature`: Ed25519 by the author's node key over `batchSigningRoot(header)`. */
export const SignedBatchHeader = new ContainerType(
  { header: BatchHeader, signature: Bytes64Type },
  { typeName: 'SignedBatchHeader', jsonCase: 'eth2' },
);
export type SignedBatchHeader = ValueOf<typeof SignedBatchHeader>;

/** What a block holds of a batch: 50 bytes. */
export const BatchRef = new ContainerType(
  { author: ValidatorIndexType, seq: LaneSeqType, rollupId: RollupIdType, digest: Bytes32Type },
  { typeName: 'BatchRef', jsonCase: 'eth2' },
);
export type BatchRef = ValueOf<typeof BatchRef>;

/** A header with its body. The body is a view into the received bytes, never copied. */
export interface Batch {
  readonly signed: SignedBatchHeader;
  readonly body: Uint8Array;
}

const HEADER_BYTES = SignedBatchHeader.fixedSize!;

/** Bytes of a transaction's hash that indexes know it by. */
export const HASH_PREFIX_BYTES = 8;

/** The digest of a batch: the hash tree root of its header. */
export function batchDigest(header: BatchHeader): Uint8Array {
  return BatchHeader.hashTreeRoot(header);
}

export function batchSigningRoot(header: BatchHeader): Uint8Array {
  return signingRoot(batchDigest(header), DOMAINS.batch);
}

/** On the wire and in the log: the fixed-size signed header, then the body. */
export function encodeBatch(batch: Batch): Uint8Array {
  return concatBytes(SignedBatchHeader.serialize(batch.signed), batch.body);
}

/** Splits an encoded batch from what follows it. The header tells the length; nothing else is checked. */
export function splitBatch(bytes: Uint8Array): Result<{ readonly batch: Uint8Array; readonly rest: Uint8Array }> {
  if (bytes.length < HEADER_BYTES) return decodeError('Batch', `${bytes.length} bytes are shorter than its header`);
  const signed = decode(SignedBatchHeader, 'SignedBatchHeader', bytes.subarray(0, HEADER_BYTES));
  if (!signed.ok) return signed;
  const end = HEADER_BYTES + signed.value.header.byteLength;
  return ok({ batch: bytes.subarray(0, end), rest: bytes.subarray(end) });
}

/** Checks form only: sizes, and that the body is a run of `transactionCount` transactions. Not the root, not the signature. */
export function decodeBatch(bytes: Uint8Array): Result<Batch> {
  if (bytes.length < HEADER_BYTES) return decodeError('Batch', `${bytes.length} bytes are shorter than its header`);
  const signed = decode(SignedBatchHeader, 'SignedBatchHeader', bytes.subarray(0, HEADER_BYTES));
  if (!signed.ok) return signed;
  const body = plainBytes(bytes).subarray(HEADER_BYTES);
  const { byteLength, transactionCount } = signed.value.header;
  if (body.length !== byteLength) {
    return decodeError('Batch', `the body has ${body.length} bytes, the header says ${byteLength}`);
  }
  const ends = bodyLayout(body);
  if (!ends.ok) return ends;
  if (ends.value !== transactionCount) {
    return decodeError('Batch', `the body has ${ends.value} transactions, the header says ${transactionCount}`);
  }
  return ok({ signed: signed.value, body });
}

/** A body is each transaction after its length, a little-endian uint32. No padding. */
export function encodeBody(transactions: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const transaction of transactions) length += 4 + transaction.length;
  const body = new Uint8Array(length);
  const view = new DataView(body.buffer);
  let offset = 0;
  for (const transaction of transactions) {
    view.setUint32(offset, transaction.length, true);
    body.set(transaction, offset + 4);
    offset += 4 + transaction.length;
  }
  return body;
}

/** Checks the framing and counts the transactions: one pass over lengths, no copies. A batch holds at least one. */
function bodyLayout(body: Uint8Array): Result<number> {
  if (body.length > MAX_BATCH_BODY_BYTES) {
    return decodeError('body', `${body.length} bytes, more than MAX_BATCH_BODY_BYTES = ${MAX_BATCH_BODY_BYTES}`);
  }
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let count = 0;
  let offset = 0;
  while (offset < body.length) {
    if (offset + 4 > body.length) return decodeError('body', `${body.length - offset} stray bytes at its end`);
    const length = view.getUint32(offset, true);
    if (length === 0 || length > MAX_TRANSACTION_BYTES) {
      return decodeError('body', `transaction ${count} has length ${length}, not within 1 to ${MAX_TRANSACTION_BYTES}`);
    }
    offset += 4 + length;
    if (offset > body.length) return decodeError('body', `transaction ${count} ends beyond the body`);
    count++;
  }
  if (count === 0) return decodeError('body', 'no transactions');
  if (count > MAX_BATCH_TRANSACTIONS) {
    return decodeError('body', `more than MAX_BATCH_TRANSACTIONS = ${MAX_BATCH_TRANSACTIONS} transactions`);
  }
  return ok(count);
}

/** One transaction of a body whose form was checked, as a view into it; the body must have so many. */
export function bodyTransaction(body: Uint8Array, index: number): Uint8Array {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let offset = 0;
  for (let i = 0; i < index; i++) offset += 4 + view.getUint32(offset, true);
  return body.subarray(offset + 4, offset + 4 + view.getUint32(offset, true));
}

/** The transactions of a body whose form was checked, as views into it. */
export function bodyTransactions(body: Uint8Array): Uint8Array[] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const transactions: Uint8Array[] = [];
  for (let offset = 0; offset < body.length; ) {
    const length = view.getUint32(offset, true);
    transactions.push(body.subarray(offset + 4, offset + 4 + length));
    offset += 4 + length;
  }
  return transactions;
}
