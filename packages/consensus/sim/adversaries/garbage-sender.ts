/** Sends bytes that nobody should send: noise, and real messages with bytes changed, cut off or appended. */

import {
  type ConsensusMessage,
  decodeValidatorMessage,
  encodeValidatorMessage,
  type ValidatorMessage,
} from '@squad/types';
import type { AdversaryFactory } from './adversary.ts';

function isForConsensus(message: ValidatorMessage): message is ConsensusMessage {
  return message.type === 'proposal' || message.type === 'vote' || message.type === 'certificate';
}

export const garbageSender: AdversaryFactory = ({ random, count }) => {
  const bent = (message: ConsensusMessage): Uint8Array => {
    const bytes = encodeValidatorMessage(message);
    switch (random.integer(0, 4)) {
      case 0:
        return random.bytes(random.integer(0, 400));
      case 1:
        return bytes.subarray(0, random.integer(0, bytes.length - 1));
      case 2: {
        const longer = new Uint8Array(bytes.length + random.integer(1, 64));
        longer.set(bytes);
        return longer;
      }
      default: {
        const changed = bytes.slice();
        for (let i = random.integer(1, 3); i > 0; i--) {
          changed[random.integer(0, changed.length - 1)]! ^= 1 << random.integer(0, 7);
        }
        return changed;
      }
    }
  };
  return {
    send: (_to, message) => {
      if (random.chance(0.6)) return [message];
      const decoded = decodeValidatorMessage(bent(message));
      // What does not decode ends at the receiver's door.
      if (decoded.ok && isForConsensus(decoded.value)) {
        count('garbage that decodes');
        return [decoded.value];
      }
      count('garbage that does not decode');
      return random.chance(0.5) ? [message] : [];
    },
  };
};
