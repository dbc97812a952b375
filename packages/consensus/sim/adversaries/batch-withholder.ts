/** Orders batches that it gives to nobody, or to one validator only, and answers no request for them. */

import type { AdversaryFactory } from './adversary.ts';

export const batchWithholder: AdversaryFactory = ({ others, random }) => {
  const friend = random.chance(0.5) ? random.pick(others) : undefined;
  return {
    spread: (to, batch) => (to === friend || random.chance(0.1) ? batch : undefined),
    servesBatch: () => random.chance(0.1),
  };
};
