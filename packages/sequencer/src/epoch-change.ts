/** The turn from one epoch to the next (R22): what was accepted and not ordered goes on, here or elsewhere. */

import { keccak256 } from '@squad/crypto/node';
import { bodyTransactions, type LaneSeq, type TransactionHash, toHex, type ValidatorSet } from '@squad/types';
import type { NextEpoch, StoredBatch } from './actor.ts';
import type { EpochRun } from './epoch-run.ts';
import type { HandOn } from './hand-on.ts';
import type { SealedBatch } from './lane.ts';

/** All that the next epoch begins with; nothing of it is to be seen before it is durable. */
export interface PreparedEpoch extends NextEpoch {
  readonly ordering: EpochRun;
  /** Own batches that were sealed anew. */
  readonly resealed: readonly StoredBatch[];
  /** Their places in the new lane, by those in the old one. */
  readonly places: ReadonlyMap<LaneSeq, LaneSeq>;
  /** What waited in the lane of a validator that is none any more: sealed only to be durable. Without bundles. */
  readonly unsealed: readonly SealedBatch[];
  /** Bundles that waited there: their clients were told nothing yet. */
  readonly refused: readonly SealedBatch[];
  /** Of bundles in the lane of a validator that is none any more: nobody can order them as what they are. */
  readonly givenUp: readonly TransactionHash[];
}

/** `own`: batches of this node that were not ordered, in the order of the lane. */
export function prepareEpoch(
  before: EpochRun,
  next: EpochRun,
  own: readonly StoredBatch[],
  { nowMs, handOn }: { readonly nowMs: number; readonly handOn: HandOn },
): PreparedEpoch {
  const placeOf = placesIn(next.validatorSet, before.validatorSet);
  if (next.lane) {
    const resealed = next.reseal(own);
    const seqOf = ({ batch }: StoredBatch) => batch.signed.header.seq;
    const places = new Map(own.map((batch, i) => [seqOf(batch), seqOf(resealed[i]!)]));
    return { ordering: next, batches: resealed, placeOf, resealed, places, unsealed: [], refused: [], givenUp: [] };
  }
  const rest = before.lane?.sealRest(nowMs) ?? [];
  const left = [...own, ...rest];
  const bundled = inBundle(left);
  const unsealed = rest.filter((batch) => !bundled.has(batch));
  const refused = rest.filter((batch) => bundled.has(batch));
  handOn.add(left.filter((batch) => !bundled.has(batch)).map(({ batch }) => batch.signed));
  const givenUp = [...bundled].flatMap(({ batch }) =>
    bodyTransactions(batch.body).map((transaction) => toHex(keccak256(transaction))),
  );
  return { ordering: next, batches: unsealed, placeOf, resealed: [], places: new Map(), unsealed, refused, givenUp };
}

/** The clients whose transactions waited in a lane that is no more: accepted is what others are given, and only that. */
export function tellWaiting({ unsealed, refused }: Pick<PreparedEpoch, 'unsealed' | 'refused'>): void {
  for (const { onPlaced, batch } of unsealed) {
    for (const [i, tell] of onPlaced.entries()) tell?.(batch.signed.header.seq, i);
  }
  for (const { onPlaced } of refused) for (const [i, tell] of onPlaced.entries()) tell?.(undefined, i);
}

/** The batches of a run of the lane that stand in a bundle of two and more. */
function inBundle(run: readonly StoredBatch[]): ReadonlySet<StoredBatch> {
  let joined = false;
  return new Set(
    run.filter(({ batch }) => {
      const { joinsNext } = batch.signed.header;
      const belongs = joined || joinsNext;
      joined = joinsNext;
      return belongs;
    }),
  );
}

/** Where the validators of one set stand in another. */
function placesIn(set: ValidatorSet, before: ValidatorSet): NextEpoch['placeOf'] {
  const places = new Map(set.validators.map(({ nodePublicKey }, index) => [toHex(nodePublicKey), index]));
  return (index) => {
    const validator = before.validators[index];
    return validator && places.get(toHex(validator.nodePublicKey));
  };
}
