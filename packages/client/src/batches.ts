/** Checks that the batches that came with a block are exactly those that it orders for one rollup. */

import { bodyRoot, type Hash } from '@squad/crypto';
import {
  type BatchRef,
  type Bytes32,
  batchDigest,
  decodeBatch,
  equalBytes,
  err,
  ok,
  type Result,
  type RollupId,
  toHex,
} from '@squad/types';
import type { VerificationErrorCode } from './errors.ts';
import type { ProvenBatch } from './proven.ts';

export interface BatchFault {
  readonly code: VerificationErrorCode;
  readonly reason: string;
  readonly refIndex?: number;
}

/** A ref with its position among all refs of the block. */
interface PlacedRef {
  readonly ref: BatchRef;
  readonly index: number;
}

/**
 * Those that a block orders for one rollup, in its order.
 *
 * @example
 * const ordered = refsOfRollup(proof.block.refs, 901);
 */
export function refsOfRollup(refs: readonly BatchRef[], rollupId: RollupId): BatchRef[] {
  return refs.filter((ref) => ref.rollupId === rollupId);
}

/**
 * None omitted, none more, none out of place (completeness), each with the digest, the place in its lane and the body
 * that the ref stands for. The author's Ed25519 signature is not checked: the ref is part of a certified block, so a
 * quorum vouches for the digest, and the digest covers all but that signature.
 */
export function checkBatches(
  encoded: readonly Uint8Array[],
  refs: readonly BatchRef[],
  rollupId: RollupId,
  networkId: Bytes32,
  sha256: Hash,
): Result<ProvenBatch[], BatchFault> {
  const placed = refs.map((ref, index) => ({ ref, index })).filter(({ ref }) => ref.rollupId === rollupId);
  if (encoded.length > placed.length) {
    return fault('BATCH_EXTRA', `${encoded.length} batches came, the block orders ${placed.length} for this rollup`);
  }
  if (encoded.length < placed.length) return omitted(encoded, placed);
  const proven: ProvenBatch[] = [];
  for (const [position, { ref, index }] of placed.entries()) {
    const bytes = encoded[position]!;
    const batch = checkBatch(bytes, ref, index, networkId, sha256);
    if (batch.ok) proven.push(batch.value);
    else return isMisplaced(batch.error, bytes, placed) ? misplaced(ref, index) : batch;
  }
  return ok(proven);
}

function checkBatch(
  bytes: Uint8Array,
  ref: BatchRef,
  index: number,
  networkId: Bytes32,
  sha256: Hash,
): Result<ProvenBatch, BatchFault> {
  const batch = decodeBatch(bytes);
  if (!batch.ok) return fault('BATCH_ENCODING', `the batch of ref ${name(ref, index)}: ${batch.error.reason}`, index);
  const { signed, body } = batch.value;
  const { header } = signed;
  const digest = batchDigest(header);
  if (!equalBytes(digest, ref.digest)) {
    return fault('BATCH_DIGEST_MISMATCH', `the batch of ref ${name(ref, index)} has digest ${toHex(digest)}`, index);
  }
  const field = differingField(header, ref, networkId);
  if (field) return fault('BATCH_HEADER_MISMATCH', `the batch of ref ${name(ref, index)} has another ${field}`, index);
  if (!equalBytes(bodyRoot(body, sha256), header.bodyRoot)) {
    return fault('BODY_ROOT_MISMATCH', `the body of ref ${name(ref, index)} does not hash to its body root`, index);
  }
  return ok({ ref, header, body });
}

function differingField(header: ProvenBatch['header'], ref: BatchRef, networkId: Bytes32): string | undefined {
  if (header.author !== ref.author) return `author (${header.author})`;
  if (header.seq !== ref.seq) return `seq (${header.seq})`;
  if (header.rollupId !== ref.rollupId) return `rollup id (${header.rollupId})`;
  if (header.joinsNext !== ref.joinsNext) return `joinsNext (${header.joinsNext})`;
  if (!equalBytes(header.networkId, networkId)) return `network id (${toHex(header.networkId)})`;
  return undefined;
}

/** Fewer batches than refs: name the first ref whose batch is not among those that came. */
function omitted(encoded: readonly Uint8Array[], placed: readonly PlacedRef[]): Result<never, BatchFault> {
  const came = new Set(encoded.map(digestOf));
  const missing = placed.find(({ ref }) => !came.has(toHex(ref.digest))) ?? placed.at(-1)!;
  const reason = `${encoded.length} of ${placed.length} batches came, without that of ref ${name(missing.ref, missing.index)}`;
  return fault('BATCH_OMITTED', reason, missing.index);
}

/** Where the digest is wrong: is it another ref's of this block? */
function isMisplaced(error: BatchFault, bytes: Uint8Array, placed: readonly PlacedRef[]): boolean {
  if (error.code !== 'BATCH_DIGEST_MISMATCH') return false;
  const digest = digestOf(bytes);
  return placed.some(({ ref }) => toHex(ref.digest) === digest);
}

function misplaced(ref: BatchRef, index: number): Result<never, BatchFault> {
  return fault('BATCH_MISPLACED', `in the place of ref ${name(ref, index)} stands another ref's batch`, index);
}

function digestOf(bytes: Uint8Array): string {
  const batch = decodeBatch(bytes);
  return batch.ok ? toHex(batchDigest(batch.value.signed.header)) : '';
}

function name(ref: BatchRef, index: number): string {
  return `${index} (author ${ref.author}, seq ${ref.seq}, ${toHex(ref.digest).slice(0, 18)}…)`;
}

function fault(code: VerificationErrorCode, reason: string, refIndex?: number): Result<never, BatchFault> {
  return err(refIndex === undefined ? { code, reason } : { code, reason, refIndex });
}
