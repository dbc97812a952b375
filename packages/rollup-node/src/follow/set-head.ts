/** How far the set is, by what its members claim. */

import { faultyWeight, type Height, totalWeight, type ValidatorIndex, type ValidatorSet } from '@squad/types';

/**
 * The greatest height that members of more than the tolerated faulty weight claim or exceed: at least one honest member
 * does. Undefined while those who were heard do not weigh so much.
 */
export function setHead(set: ValidatorSet, claims: readonly (readonly [ValidatorIndex, Height])[]): Height | undefined {
  const faulty = faultyWeight(totalWeight(set));
  let weight = 0;
  for (const [validator, height] of [...claims].sort(([, a], [, b]) => b - a)) {
    weight += set.validators[validator]?.weight ?? 0;
    if (weight > faulty) return height;
  }
  return undefined;
}
