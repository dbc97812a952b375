/** Its clock is off by seconds, ahead or behind, and jumps now and then: it gives up too early, proposes in the future. */

import type { AdversaryFactory } from './adversary.ts';

export const clockSkewed: AdversaryFactory = ({ random, skewClock, count }) => {
  let views = 0;
  return {
    enteredView: () => {
      if (views++ > 0 && random.chance(0.8)) return;
      count('a clock jumps');
      skewClock();
    },
  };
};
