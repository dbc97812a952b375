/**
 * From one epoch to the next (R22). An epoch ends with its boundary block, whose header names the hash of the next set. The
 * proof of that is all that a node that was away, a light client or a contract needs to follow from one set to the next.
 */

import { ContainerType, ListCompositeType } from '@chainsafe/ssz';
import { BlockHeader } from './block.ts';
import type { Epoch, Height } from './ids.ts';
import { MAX_HAND_OVER_PATH_HEADERS } from './limits.ts';
import { ok, type Result } from './result.ts';
import { decode } from './ssz.ts';
import { ValidatorSet } from './validators.ts';
import { Certificate, checkKind } from './vote.ts';

/** The height of an epoch's boundary block, its last one that is delivered: epoch e orders e·length + 1 to (e + 1)·length. */
export function lastHeightOf(epoch: Epoch, epochLengthBlocks: number): Height {
  return (epoch + 1) * epochLengthBlocks;
}

/** The epoch that orders a height; of genesis, height 0, it is epoch 0. */
export function epochOfHeight(height: Height, epochLengthBlocks: number): Epoch {
  return height === 0 ? 0 : Math.floor((height - 1) / epochLengthBlocks);
}

/**
 * `path`: the headers of the epilogue from the boundary block's child to the block that `certificate` finalizes; empty if
 * it finalizes the boundary block itself. Judged by `verifyHandOver` of `@squad/crypto`.
 */
const HandOverProofType = new ContainerType(
  {
    boundaryHeader: BlockHeader,
    path: new ListCompositeType(BlockHeader, MAX_HAND_OVER_PATH_HEADERS),
    certificate: Certificate,
    nextValidatorSet: ValidatorSet,
  },
  { typeName: 'HandOverProof' },
);

export { HandOverProofType as HandOverProof };
export interface HandOverProof {
  boundaryHeader: BlockHeader;
  path: BlockHeader[];
  certificate: Certificate;
  nextValidatorSet: ValidatorSet;
}

/** Outside bytes: checks the form only. */
export function decodeHandOverProof(bytes: Uint8Array): Result<HandOverProof> {
  const proof = decode(HandOverProofType, 'HandOverProof', bytes);
  if (!proof.ok) return proof;
  const checked = checkKind('HandOverProof', proof.value.certificate);
  return checked.ok ? ok(proof.value as HandOverProof) : checked;
}
