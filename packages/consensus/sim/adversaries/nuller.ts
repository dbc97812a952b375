/** Nullifies every view as soon as it begins, and never votes for a block. */

import { VoteKind, ZERO_HASH } from '@squad/types';
import type { AdversaryFactory } from './adversary.ts';

export const nuller: AdversaryFactory = ({ others, sign, send }) => ({
  send: (_to, message) => (message.type === 'certificate' ? [message] : []),
  enteredView: (view) => {
    const vote = sign(VoteKind.nullify, view, ZERO_HASH);
    for (const to of others) send(to, { type: 'vote', vote });
  },
});
