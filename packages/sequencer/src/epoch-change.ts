/** The turn from one epoch to the next (R22): what was accepted and not ordered goes on, here or elsewhere. */

import { type LaneSeq, toHex, type ValidatorSet } from '@squad/types';
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
  /** What waited in the lane of a validator that is none any more: sealed only to be durable. */
  readonly unsealed: readonly SealedBatch[];
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
    return { ordering: next, batches: resealed, placeOf, resealed, places, unsealed: [] };
  }
  const unsealed = before.lane?.sealRest(nowMs) ?? [];
  handOn.add([...own, ...unsealed].map(({ batch }) => batch.signed));
  return { ordering: next, batches: unsealed, placeOf, resealed: [], places: new Map(), unsealed };
}

/** Where the validators of one set stand in another. */
function placesIn(set: ValidatorSet, before: ValidatorSet): NextEpoch['placeOf'] {
  const places = new Map(set.validators.map(({ nodePublicKey }, index) => [toHex(nodePublicKey), index]));
  return (index) => {
    const validator = before.validators[index];
    return validator && places.get(toHex(validator.nodePublicKey));
  };
}
