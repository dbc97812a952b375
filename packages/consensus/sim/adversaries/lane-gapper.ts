/** As author leaves a place of its lane out; as leader orders the batch behind it, which nobody else has been given (R1, R11). */

import { blockHash, type Proposal, toHex } from '@squad/types';
import type { AdversaryFactory } from './adversary.ts';
import { withRefs } from './with-refs.ts';

export const laneGapper: AdversaryFactory = ({ self, random, sign, keepBatch, count }) => {
  const made = new Map<string, Proposal>();
  const gapped = (proposal: Proposal): Proposal => {
    const { refs } = proposal.block;
    const at = refs.findLastIndex(({ author }) => author === self);
    if (at < 0) return proposal;
    const last = refs[at]!;
    const ref = { ...last, seq: last.seq + 2, digest: random.bytes(32), joinsNext: false };
    keepBatch({ ref, previousDigest: last.digest });
    count('a place of a lane left out');
    return withRefs(proposal, refs.toSpliced(at + 1, 0, ref), sign);
  };
  return {
    send: (_to, message) => {
      if (message.type !== 'proposal') return [message];
      const name = toHex(blockHash(message.proposal.block.header));
      const proposal = made.get(name) ?? gapped(message.proposal);
      made.set(name, proposal);
      return [{ type: 'proposal', proposal }];
    },
  };
};
