/** As leader gives its block an anchor that no honest leader would: too far, back, not there yet, or of another L1 (R24). */

import { blockHash, type L1BlockId, type Proposal, toHex, VoteKind } from '@squad/types';
import type { AdversaryFactory } from './adversary.ts';

const OTHER_FORK = 99;

export const anchorLiar: AdversaryFactory = ({ random, l1At, sign, count }) => {
  const bent = new Map<string, Proposal>();
  const lies: readonly ((number: number) => L1BlockId)[] = [
    (number) => l1At(number + 17, 0),
    (number) => l1At(number + random.integer(18, 500), 0),
    (number) => l1At(Math.max(0, number - random.integer(1, 3)), 0),
    (number) => l1At(number + random.integer(1, 16), 0),
    (number) => l1At(number + 1, 0),
    (number) => l1At(number + 1, OTHER_FORK),
    (number) => l1At(number + random.integer(0, 2), OTHER_FORK),
  ];
  return {
    send: (_to, message) => {
      if (message.type !== 'proposal') return [message];
      const { proposal } = message;
      const { header } = proposal.block;
      const name = toHex(blockHash(header));
      let instead = bent.get(name);
      if (!instead) {
        const { number, hash } = random.pick(lies)(header.l1AnchorNumber);
        const bentHeader = { ...header, l1AnchorNumber: number, l1AnchorHash: hash };
        const { signature } = sign(VoteKind.notarize, header.view, blockHash(bentHeader));
        instead = { ...proposal, block: { ...proposal.block, header: bentHeader }, leaderSignature: signature };
        bent.set(name, instead);
        count('a lie about the L1');
      }
      return [{ type: 'proposal', proposal: instead }];
    },
  };
};
