/** As leader ends the range of a lane within a bundle; as author may never end one (R1, R10, R11). */

import { blockHash, type Proposal, toHex } from '@squad/types';
import type { AdversaryFactory } from './adversary.ts';
import { withRefs } from './with-refs.ts';

export const bundleCutter: AdversaryFactory = ({ random, sign, count }) => {
  const made = new Map<string, Proposal>();
  const cut = (proposal: Proposal): Proposal => {
    const { refs } = proposal.block;
    const within = refs.flatMap((ref, i) => (ref.joinsNext ? [i] : []));
    if (within.length === 0) return proposal;
    const at = random.pick(within);
    const { author } = refs[at]!;
    const kept = refs.filter((ref, i) => ref.author !== author || i <= at);
    count('a bundle cut');
    return withRefs(proposal, kept, sign);
  };
  return {
    neverCloses: random.chance(0.3),
    send: (_to, message) => {
      if (message.type !== 'proposal') return [message];
      const name = toHex(blockHash(message.proposal.block.header));
      const proposal = made.get(name) ?? cut(message.proposal);
      made.set(name, proposal);
      return [{ type: 'proposal', proposal }];
    },
  };
};
