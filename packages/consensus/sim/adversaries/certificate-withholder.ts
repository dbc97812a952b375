/** Collects votes and keeps the certificates that they make: passes them on to few, late, or not at all. */

import { VoteKind } from '@squad/types';
import type { AdversaryFactory } from './adversary.ts';

export const certificateWithholder: AdversaryFactory = ({ others, random, send, later }) => {
  const friends = new Set(random.subset(others, 0.3));
  const kinds = new Set<number>(random.subset([VoteKind.notarize, VoteKind.nullify, VoteKind.finalize], 0.7));
  const lateMs = random.pick([0, 300, 1_500]);
  return {
    send: (to, message) => {
      if (message.type !== 'certificate' || friends.has(to) || !kinds.has(message.certificate.kind)) return [message];
      if (lateMs > 0 && random.chance(0.5)) later(lateMs, () => send(to, message));
      return [];
    },
  };
};
