/** Signs everything for everyone: NOTARIZE and FINALIZE of every block that it hears of, NULLIFY of every view. */

import { blockHash, type ConsensusMessage, toHex, type View, VoteKind, ZERO_HASH } from '@squad/types';
import type { AdversaryFactory } from './adversary.ts';

/** A block hash that a message speaks of. */
function mentioned(message: ConsensusMessage): { readonly view: View; readonly hash: Uint8Array } | undefined {
  if (message.type === 'proposal') {
    const { header } = message.proposal.block;
    return { view: header.view, hash: blockHash(header) };
  }
  if (message.type === 'handOver') return undefined;
  const { kind, view, blockHash: hash } = message.type === 'vote' ? message.vote : message.certificate;
  return kind === VoteKind.nullify ? undefined : { view, hash };
}

export const omniVoter: AdversaryFactory = ({ others, random, sign, send }) => {
  const seen = new Set<string>();
  return {
    received: (_from, message) => {
      const about = mentioned(message);
      if (!about || seen.has(`${about.view}${toHex(about.hash)}`)) return;
      seen.add(`${about.view}${toHex(about.hash)}`);
      const votes = [
        sign(VoteKind.notarize, about.view, about.hash),
        sign(VoteKind.nullify, about.view, ZERO_HASH),
        sign(VoteKind.finalize, about.view, about.hash),
      ];
      for (const vote of votes) {
        for (const to of random.subset(others, 0.7)) send(to, { type: 'vote', vote });
      }
    },
    enteredView: (view) => {
      const vote = sign(VoteKind.nullify, view, ZERO_HASH);
      for (const to of random.subset(others)) send(to, { type: 'vote', vote });
    },
  };
};
