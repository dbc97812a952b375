/**
 * Following the validator set from one epoch to the next (R22). Pure, for hostile input, and self-contained: with the set
 * of the epoch that ends it needs nothing but the proof, in a node (blst) as in a browser (noble).
 */

import {
  BatchRefs,
  type BlockHeader,
  type Bytes32,
  blockHash,
  equalBytes,
  err,
  type HandOverProof,
  type Height,
  ok,
  quorumWeight,
  type Result,
  totalWeight,
  type ValidatorSet,
  VoteKind,
  validatorSetFault,
  validatorSetHash,
  ZERO_HASH,
} from '@squad/types';
import { certificateFault } from './certificate-fault.ts';
import type { VoteScheme } from './vote-scheme.ts';

export interface HandOverContext {
  readonly networkId: Bytes32;
  /** Of the epoch that ends. */
  readonly validatorSet: ValidatorSet;
  /** Height of its boundary block: `lastHeightOf(epoch, epochLengthBlocks)`. */
  readonly lastHeight: Height;
  /** Over the keys of `validatorSet`, which must have proven possession. */
  readonly scheme: Pick<VoteScheme, 'verify'>;
}

/** Why a hand-over proof proves nothing. */
export interface HandOverFault {
  readonly code:
    | 'HAND_OVER_EPOCH'
    | 'HAND_OVER_NETWORK'
    | 'HAND_OVER_HEIGHT'
    | 'HAND_OVER_SET'
    | 'HAND_OVER_PATH'
    | 'HAND_OVER_CERTIFICATE';
  readonly reason: string;
}

const EMPTY_REFS_ROOT: Bytes32 = BatchRefs.hashTreeRoot([]);

/**
 * The set of the next epoch, or why it is not shown to be that. Proofs of possession of its keys are no part of the proof:
 * whoever lets a set into the chain (the registry) has checked them, and a quorum of the old set vouches for that. Costs one
 * signature check, the last thing done, and a hash for each header.
 */
export function verifyHandOver(proof: HandOverProof, context: HandOverContext): Result<ValidatorSet, HandOverFault> {
  const { boundaryHeader, path, certificate, nextValidatorSet } = proof;
  const { networkId, validatorSet, lastHeight, scheme } = context;
  const { epoch } = validatorSet;
  if (boundaryHeader.epoch !== epoch) {
    return fault('HAND_OVER_EPOCH', `it ends epoch ${boundaryHeader.epoch}, the validator set is of epoch ${epoch}`);
  }
  if (!equalBytes(boundaryHeader.networkId, networkId)) return fault('HAND_OVER_NETWORK', 'it is of another network');
  if (boundaryHeader.height !== lastHeight) {
    return fault('HAND_OVER_HEIGHT', `epoch ${epoch} ends with height ${lastHeight}, not ${boundaryHeader.height}`);
  }
  if (nextValidatorSet.epoch !== epoch + 1) {
    return fault('HAND_OVER_SET', `the next set is of epoch ${nextValidatorSet.epoch}, not ${epoch + 1}`);
  }
  if (!equalBytes(validatorSetHash(nextValidatorSet), boundaryHeader.nextValidatorSetHash)) {
    return fault('HAND_OVER_SET', 'the next set is not the one that the boundary block names');
  }
  const unfit = validatorSetFault(nextValidatorSet);
  if (unfit !== undefined) return fault('HAND_OVER_SET', `the next set is not fit to validate: ${unfit}`);
  const last = followPath(boundaryHeader, path);
  if (!last.ok) return last;
  if (certificate.kind !== VoteKind.finalize || certificate.view !== last.value.header.view) {
    return fault('HAND_OVER_CERTIFICATE', 'the certificate is no finalization of the last header’s view');
  }
  if (!equalBytes(certificate.blockHash, last.value.hash)) {
    return fault('HAND_OVER_CERTIFICATE', 'the certificate finalizes another block than the last header’s');
  }
  const quorum = quorumWeight(totalWeight(validatorSet));
  const misfit = certificateFault(certificate, { networkId, validatorSet, quorum, scheme });
  if (misfit !== undefined) return fault('HAND_OVER_CERTIFICATE', `the finalization is ${misfit}`);
  return ok(nextValidatorSet);
}

interface Hashed {
  readonly header: BlockHeader;
  readonly hash: Bytes32;
}

/** The last header of the epilogue, or the boundary block's: each is the child of the one before, and orders nothing. */
function followPath(boundary: BlockHeader, path: readonly BlockHeader[]): Result<Hashed, HandOverFault> {
  let at: Hashed = { header: boundary, hash: blockHash(boundary) };
  for (const [index, header] of path.entries()) {
    const parent = at.header;
    const follows =
      equalBytes(header.parentHash, at.hash) &&
      header.parentView === parent.view &&
      header.height === parent.height + 1 &&
      header.epoch === parent.epoch &&
      equalBytes(header.networkId, parent.networkId);
    if (!follows) return fault('HAND_OVER_PATH', `header ${index} of the path does not follow the one before it`);
    const isEmpty = equalBytes(header.refsRoot, EMPTY_REFS_ROOT) && equalBytes(header.nextValidatorSetHash, ZERO_HASH);
    if (!isEmpty) return fault('HAND_OVER_PATH', `header ${index} of the path is none of an epilogue block`);
    at = { header, hash: blockHash(header) };
  }
  return ok(at);
}

function fault(code: HandOverFault['code'], reason: string): { readonly ok: false; readonly error: HandOverFault } {
  return err({ code, reason });
}
