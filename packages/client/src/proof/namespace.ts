/** Namespace completeness: which batches a block orders for one rollup, and that there are no others. */

import { type BatchRef, type BlockProof, ok, type Result, type RollupId, type SquadError } from '@squad/types';
import { refsOfRollup } from '../batches.ts';
import { type CertifiedBlock, type ProofOptions, verifyBlockProof } from './block-proof.ts';
import type { Checkpoint } from './checkpoint.ts';

export interface Namespace extends Pick<CertifiedBlock, 'stage' | 'hash' | 'header'> {
  readonly rollupId: RollupId;
  /** All of the rollup's refs in the block, in order; empty: the block orders nothing for it. */
  readonly refs: readonly BatchRef[];
}

/**
 * A proof opens all refs of its block, each of which names its rollup (voters compare it with the batch, R11). So it answers
 * for any rollup, one that the block orders nothing for included.
 *
 * @example
 * const namespace = verifyNamespace(proof, 901, checkpoint);
 * if (namespace.ok && namespace.value.refs.length === 0) console.log('nothing of rollup 901 in', namespace.value.header.height);
 */
export function verifyNamespace(
  proof: Uint8Array | BlockProof,
  rollupId: RollupId,
  checkpoint: Checkpoint,
  options?: ProofOptions,
): Result<Namespace, SquadError> {
  const block = verifyBlockProof(proof, checkpoint, options);
  if (!block.ok) return block;
  const { stage, hash, header, refs } = block.value;
  return ok({ stage, hash, header, rollupId, refs: refsOfRollup(refs, rollupId) });
}
