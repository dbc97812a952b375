/** Answers requests for blocks with blocks that were never proposed. */

import type { AdversaryFactory } from './adversary.ts';

export const liar: AdversaryFactory = ({ random }) => ({
  servesBlock: (block) => {
    switch (random.integer(0, 3)) {
      case 0:
        return { ...block, header: { ...block.header, timestampMs: block.header.timestampMs + 1 } };
      case 1:
        return { ...block, refs: block.refs.slice(1) };
      case 2:
        return { ...block, header: { ...block.header, height: block.header.height + 1 } };
      default:
        return undefined;
    }
  },
});
