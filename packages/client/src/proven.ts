/** What comes out of the verifier: a block and the batches of one rollup, each proven by the epoch's validators. */

import type { BatchHeader, BatchRef, BlockHeader, Bytes32, Certificate, Height, RollupId } from '@squad/types';

/** A block by place and name: what the next one builds on. */
export interface BlockPoint {
  readonly height: Height;
  readonly hash: Bytes32;
}

/**
 * One batch of the rollup, as its block orders it. The author's own signature is not carried: a quorum certified the
 * digest, and the digest is all that was ordered.
 */
export interface ProvenBatch {
  readonly ref: BatchRef;
  readonly header: BatchHeader;
  /** Offsets, then transactions; `bodyTransactions` of `@squad/types` gives them as views. */
  readonly body: Uint8Array;
}

/** A block whose certificate, refs and batches were checked. `batches`: all of this rollup's, in ref order. */
export interface ProvenBlock {
  /** `soft`: notarized by a quorum (2 delays). `final`: finalized, never to change (3 delays). */
  readonly stage: 'soft' | 'final';
  readonly rollupId: RollupId;
  readonly hash: Bytes32;
  readonly header: BlockHeader;
  readonly batches: readonly ProvenBatch[];
  readonly certificate: Certificate;
  /** From the block's child to the header that the certificate names; empty if it names the block itself. */
  readonly path: readonly BlockHeader[];
}
