/**
 * The port of derivation: what verification hands on, and who takes it. Whoever follows sequencers verifies each block
 * (certificate, refs, bodies) and only then calls `applySoft` or `applyFinal`; derivation trusts what it is given.
 */

import type { Bytes32, Height, L1BlockId, UnixMs, View } from '@squad/types';

/** A batch of this rollup whose body was checked against its digest. */
export interface ProvenBatch {
  readonly digest: Bytes32;
  /** Opaque bytes, in the body's order; views are fine, they are not kept longer than the block is. */
  readonly transactions: readonly Uint8Array[];
}

/** A sequencer block, verified. `batches` are all of this rollup's in the block, in ref order; most often there are none. */
export interface ProvenBlock {
  /** `soft`: notarized, may still be replaced. `final`: finalized, or an ancestor of a finalized block. */
  readonly stage: 'soft' | 'final';
  readonly height: Height;
  readonly view: View;
  readonly hash: Bytes32;
  readonly parentHash: Bytes32;
  readonly timestampMs: UnixMs;
  /** Default: none. */
  readonly l1Anchor?: L1BlockId;
  readonly batches: readonly ProvenBatch[];
}

/**
 * `applied`: the block is now part of the rollup. `known`: it was already. `ignored`: a soft block that does not attach to
 * what is known (a gap, an unknown parent, below the final head, or over MAX_HELD_BLOCKS), or needs of L1 what cannot be had
 * at once; it will come again as final.
 */
export type ApplyOutcome = 'applied' | 'known' | 'ignored';

/**
 * Turns the sequence into rollup blocks. Calls may overlap: they are carried out one after another, in call order.
 *
 * - `applyFinal` takes every height once, in order, blocks without batches included: time moves on with them. A height at
 *   or below `finalHeight` is `known`. A gap throws SquadError `DERIVATION_GAP`; a final block that does not follow from the
 *   final block before it throws SquadError `DERIVATION_CONFLICT` (that is a broken network, or a broken verifier: stop).
 * - `applySoft` may be skipped, repeated, or contradicted later. A soft block at a height where another soft one stood
 *   replaces that one and all after it.
 * - Soft first or final only: the resulting rollup blocks are the same.
 */
export interface Derivation {
  /** The last height applied as final in this process; right after opening, the last one that a stored block covers. */
  readonly finalHeight: Height;
  /** `finalHeight + 1`: the height from which to follow the feed. */
  readonly nextFinalHeight: Height;
  /** The highest height applied, soft or final. */
  readonly softHeight: Height;
  applySoft(block: ProvenBlock): Promise<ApplyOutcome>;
  applyFinal(block: ProvenBlock): Promise<ApplyOutcome>;
  /** Waits for calls under way and closes the store. What was not yet stored is derived again after the next start. */
  close(): Promise<void>;
}
