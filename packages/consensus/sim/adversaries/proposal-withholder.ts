/** As leader gives its proposal to few, at times to just too few for a quorum, and the rest of them late or never. */

import type { AdversaryFactory } from './adversary.ts';

export const proposalWithholder: AdversaryFactory = ({ others, random, send, later }) => {
  const chosen = new Map<number, ReadonlySet<number>>();
  const lateMs = random.pick([0, 200, 900, 3_000]);
  return {
    send: (to, message) => {
      if (message.type !== 'proposal') return [message];
      const { view } = message.proposal.block.header;
      let few = chosen.get(view);
      if (!few) {
        few = new Set(random.shuffle(others).slice(0, random.integer(0, others.length)));
        chosen.set(view, few);
      }
      if (few.has(to)) return [message];
      if (lateMs > 0) later(lateMs, () => send(to, message));
      return [];
    },
  };
};
