/** Says again what was said before: certificates and proposals of others, its own old votes, and these in another epoch. */

import { type ConsensusMessage, VoteKind } from '@squad/types';
import type { AdversaryFactory } from './adversary.ts';

const KEPT = 64;

export const staleReplayer: AdversaryFactory = ({ epoch, memory: kept, others, random, sign, send, later }) => {
  const keep = (message: ConsensusMessage): void => {
    if (kept.length < KEPT) kept.push(message);
    else kept[random.integer(0, KEPT - 1)] = message;
  };
  const otherEpochNumber = () => (epoch > 0 && random.chance(0.5) ? epoch - 1 : epoch + 1);
  /** A vote of the epoch before or after, genuinely signed for it. */
  const otherEpoch = (message: ConsensusMessage): ConsensusMessage => {
    if (message.type !== 'vote') return message;
    const { kind, view, blockHash } = message.vote;
    return { type: 'vote', vote: sign(kind, view, blockHash, otherEpochNumber()) };
  };
  return {
    send: (to, message) => {
      keep(message);
      if (message.type === 'vote' && random.chance(0.4)) return [otherEpoch(message), message];
      if (message.type === 'certificate' && random.chance(0.2)) {
        return [message, { type: 'certificate', certificate: { ...message.certificate, epoch: otherEpochNumber() } }];
      }
      if (kept.length > 0 && random.chance(0.3)) later(random.integer(1, 2_000), () => send(to, random.pick(kept)));
      return [message];
    },
    received: (_from, message) => {
      // A vote of another validator is no vote from this channel: whoever takes it is wrong.
      if (message.type !== 'vote' || random.chance(0.1)) keep(message);
      if (message.type === 'vote' && message.vote.kind === VoteKind.nullify && random.chance(0.1)) {
        send(random.pick(others), message);
      }
    },
  };
};
