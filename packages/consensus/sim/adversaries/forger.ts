/** Signs its votes badly, at times only for some of the others, and sends certificates that nobody made. */

import { signerBits, VoteKind } from '@squad/types';
import { forgedSignature } from '../mock-scheme.ts';
import type { AdversaryFactory } from './adversary.ts';

export const forger: AdversaryFactory = ({ others, random }) => {
  const setSize = others.length + 1;
  return {
    send: (_to, message) => {
      const salt = random.integer(0, 1_000);
      if (message.type === 'vote' && random.chance(0.6)) {
        return [{ type: 'vote', vote: { ...message.vote, signature: forgedSignature(salt, random.chance(0.7)) } }];
      }
      if (message.type === 'certificate' && random.chance(0.3)) {
        const { certificate } = message;
        const forged = random.chance(0.5)
          ? { ...certificate, signature: forgedSignature(salt, true), view: certificate.view + random.integer(0, 3) }
          : { ...certificate, kind: VoteKind.finalize, blockHash: random.bytes(32) };
        const signers = random.chance(0.3)
          ? signerBits(
              setSize,
              others.map((_, i) => i),
            )
          : certificate.signers;
        return [{ type: 'certificate', certificate: { ...forged, signers } }];
      }
      if (message.type === 'proposal' && random.chance(0.3)) {
        return [{ type: 'proposal', proposal: { ...message.proposal, leaderSignature: forgedSignature(salt, true) } }];
      }
      return [message];
    },
  };
};
