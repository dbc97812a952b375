/** Signing batch headers and checking whole batches (R2), over whichever hash and Ed25519 the platform has. */

import {
  type Batch,
  type BatchHeader,
  type Bytes32,
  batchDigest,
  batchSigningRoot,
  equalBytes,
  err,
  ok,
  type Result,
  type SignedBatchHeader,
} from '@squad/types';
import { bodyRoot } from './body-root.ts';
import type { NodeKey, VerifyEd25519 } from './ed25519.ts';
import type { Hash } from './hash.ts';

/** Why a batch that is well formed is not its author's batch in this network. */
export interface BatchFault {
  readonly code: 'BATCH_NETWORK' | 'BATCH_BYTE_LENGTH' | 'BATCH_BODY_ROOT' | 'BATCH_SIGNATURE';
  readonly reason: string;
}

/** The batch's digest if it is good: it is needed next, and was computed on the way. */
export type VerifyBatch = (
  batch: Batch,
  authorPublicKey: Uint8Array,
  networkId: Bytes32,
) => Result<{ readonly digest: Bytes32 }, BatchFault>;

export function signBatchHeader(header: BatchHeader, key: Pick<NodeKey, 'sign'>): SignedBatchHeader {
  return { header, signature: key.sign(batchSigningRoot(header)) };
}

/** The author's signature over a header alone: all that evidence of lane equivocation needs. */
export function verifyBatchHeader(
  signed: SignedBatchHeader,
  authorPublicKey: Uint8Array,
  verifyEd25519: VerifyEd25519,
): boolean {
  return verifyEd25519(authorPublicKey, batchSigningRoot(signed.header), signed.signature);
}

/** Whether a body is the one that a header commits to: all that is asked of a batch whose digest a quorum vouches for (R21). */
export function isBodyOf(header: BatchHeader, body: Uint8Array, sha256: Hash): boolean {
  return header.byteLength === body.length && equalBytes(header.bodyRoot, bodyRoot(body, sha256));
}

/** `@squad/crypto/node` exports the native one ready made, as `verifyBatch`. */
export function createBatchVerifier({
  sha256,
  verifyEd25519,
}: {
  readonly sha256: Hash;
  readonly verifyEd25519: VerifyEd25519;
}): VerifyBatch {
  return ({ signed, body }, authorPublicKey, networkId) => {
    const { header } = signed;
    if (!equalBytes(header.networkId, networkId)) return fault('BATCH_NETWORK', 'it belongs to another network');
    if (header.byteLength !== body.length) {
      return fault('BATCH_BYTE_LENGTH', `the body has ${body.length} bytes, the header says ${header.byteLength}`);
    }
    // The signature before the body: bytes of a stranger cost one check, not a pass over half a MiB.
    if (!verifyBatchHeader(signed, authorPublicKey, verifyEd25519)) {
      return fault('BATCH_SIGNATURE', 'the signature is not its author’s');
    }
    if (!isBodyOf(header, body, sha256)) {
      return fault('BATCH_BODY_ROOT', 'the body is not the one that the header commits to');
    }
    return ok({ digest: batchDigest(header) });
  };
}

function fault(code: BatchFault['code'], reason: string): { readonly ok: false; readonly error: BatchFault } {
  return err({ code, reason });
}
