/** Batches (R1, R2): a signed run of one rollup's transactions, and the 51-byte reference by which blocks order it. */

import { ContainerType, type ValueOf } from '@chainsafe/ssz';
import { DOMAINS } from './domains.ts';
import { concatBytes } from './ids.ts';
import { MAX_BATCH_BODY_BYTES, MAX_BATCH_TRANSACTIONS, MAX_BUNDLE_BATCHES, MAX_TRANSACTION_BYTES } from './limits.ts';
import { ok, type Result } from './result.ts';
import { signingRoot } from './signing.ts';
import {
  Bool,
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
    /** The lane's next batch belongs with it: a block orders both or neither (R1). */
    joinsNext: Bool,
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

/** What a block holds of a batch: 51 bytes. */
export const BatchRef = new ContainerType(
  { author: ValidatorIndexType, seq: LaneSeqType, rollupId: RollupIdType, digest: Bytes32Type, joinsNext: Bool },
  { typeName: 'BatchRef', jsonCase: 'eth2' },
);
export type BatchRef = ValueOf<typeof BatchRef>;

/** A header with its body. The body is a view into the received bytes, never copied. */
export interface Batch {
  readonly signed: SignedBatchHeader;
  readonly body: Uint8Array;
}

const HEADER_BYTES = SignedBatchHeader.fixedSize!;

/** Bytes of one transaction's offset in a body. */
export const OFFSET_BYTES = 4;

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

/**
 * Where a run of a lane may be cut: the numbers of batches after which no bundle is open (R1). None behind a bundle that is
 * not closed, or closed too late.
 */
export function bundleEnds(run: readonly Pick<BatchRef, 'joinsNext'>[]): number[] {
  const ends: number[] = [];
  let start = 0;
  for (const [i, { joinsNext }] of run.entries()) {
    if (i - start === MAX_BUNDLE_BATCHES) break;
    if (joinsNext) continue;
    start = i + 1;
    ends.push(start);
  }
  return ends;
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

/**
 * A body is the SSZ encoding of a list of byte lists: for each transaction its offset from the body's start, a little-endian
 * uint32, then the transactions one after the other. Whoever proves a transaction opens two of the offsets, and so shows
 * where it begins and ends: were it after its length, bytes within another one could be passed off as one.
 */
export function encodeBody(transactions: readonly Uint8Array[]): Uint8Array {
  let offset = OFFSET_BYTES * transactions.length;
  let length = offset;
  for (const transaction of transactions) length += transaction.length;
  const body = new Uint8Array(length);
  const view = new DataView(body.buffer);
  for (const [index, transaction] of transactions.entries()) {
    view.setUint32(OFFSET_BYTES * index, offset, true);
    body.set(transaction, offset);
    offset += transaction.length;
  }
  return body;
}

/** Checks the offsets and counts the transactions, without copies. A batch holds at least one. */
function bodyLayout(body: Uint8Array): Result<number> {
  if (body.length > MAX_BATCH_BODY_BYTES) {
    return decodeError('body', `${body.length} bytes, more than MAX_BATCH_BODY_BYTES = ${MAX_BATCH_BODY_BYTES}`);
  }
  if (body.length < OFFSET_BYTES) return decodeError('body', 'no transactions');
  const offsetAt = offsetsOf(body);
  const first = offsetAt(0);
  const count = first / OFFSET_BYTES;
  if (!Number.isInteger(count) || count === 0 || first > body.length) {
    return decodeError('body', `the first offset is ${first}, not the end of a list of offsets`);
  }
  if (count > MAX_BATCH_TRANSACTIONS) {
    return decodeError('body', `more than MAX_BATCH_TRANSACTIONS = ${MAX_BATCH_TRANSACTIONS} transactions`);
  }
  let start = first;
  for (let index = 0; index < count; index++) {
    const end = index + 1 < count ? offsetAt(index + 1) : body.length;
    if (end > body.length) return decodeError('body', `transaction ${index} ends beyond the body`);
    const length = end - start;
    if (length < 1 || length > MAX_TRANSACTION_BYTES) {
      return decodeError('body', `transaction ${index} has length ${length}, not within 1 to ${MAX_TRANSACTION_BYTES}`);
    }
    start = end;
  }
  return ok(count);
}

/** Where a transaction stands in a body whose form was checked: the place of its first byte, and that of the next one's. */
export function bodyRange(body: Uint8Array, index: number): { readonly start: number; readonly end: number } {
  const offsetAt = offsetsOf(body);
  const isLast = OFFSET_BYTES * (index + 1) === offsetAt(0);
  return { start: offsetAt(index), end: isLast ? body.length : offsetAt(index + 1) };
}

/** One transaction of a body whose form was checked, as a view into it; the body must have so many. */
export function bodyTransaction(body: Uint8Array, index: number): Uint8Array {
  const { start, end } = bodyRange(body, index);
  return body.subarray(start, end);
}

/**
 * The transactions of a body whose form was checked, as views into it.
 *
 * @example
 * for (const { body } of block.batches) {
 *   for (const transaction of bodyTransactions(body)) apply(transaction);
 * }
 */
export function bodyTransactions(body: Uint8Array): Uint8Array[] {
  const offsetAt = offsetsOf(body);
  const count = offsetAt(0) / OFFSET_BYTES;
  const transactions: Uint8Array[] = [];
  for (let index = 0, start = offsetAt(0); index < count; index++) {
    const end = index + 1 < count ? offsetAt(index + 1) : body.length;
    transactions.push(body.subarray(start, end));
    start = end;
  }
  return transactions;
}

function offsetsOf(body: Uint8Array): (index: number) => number {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  return (index) => view.getUint32(OFFSET_BYTES * index, true);
}
