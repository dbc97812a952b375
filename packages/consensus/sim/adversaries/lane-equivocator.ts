/** Makes two batches for one place in its lane and gives each to a part of the others (R5). */

import { toHex } from '@squad/types';
import type { HeldBatch } from '../../src/api.ts';
import type { AdversaryFactory } from './adversary.ts';

export const laneEquivocator: AdversaryFactory = ({ others, random, keepBatch }) => {
  const side = new Set(random.subset(others));
  const twins = new Map<string, HeldBatch>();
  return {
    spread: (to, batch) => {
      if (!side.has(to)) return batch;
      const name = toHex(batch.ref.digest);
      let twin = twins.get(name);
      if (!twin) {
        const before = twins.get(toHex(batch.previousDigest));
        twin = {
          ref: { ...batch.ref, digest: random.bytes(32) },
          previousDigest: before && random.chance(0.5) ? before.ref.digest : batch.previousDigest,
        };
        twins.set(name, twin);
        keepBatch(twin);
      }
      return twin;
    },
  };
};
