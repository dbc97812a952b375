/** Lies to those who catch up: answers to requests that are not what was asked for (R21). */

import type { NetworkHandlers, RequestProtocol } from '@squad/network';
import { BatchesResponse, RangeResponse } from '@squad/types';

export const ANSWER_LIES = [
  'forge-bodies',
  'forge-certificates',
  'unlink-blocks',
  'answer-nothing',
  'answer-never',
] as const;
export type AnswerLie = (typeof ANSWER_LIES)[number];

export function lieInAnswers(handlers: NetworkHandlers, how: AnswerLie): NetworkHandlers {
  return {
    ...handlers,
    onRequest: async (from, protocol, request) => {
      if (how === 'answer-never') return new Promise(() => {});
      return lie(how, protocol, await handlers.onRequest(from, protocol, request));
    },
  };
}

function lie(how: AnswerLie, protocol: RequestProtocol, answer: Uint8Array): Uint8Array {
  if (protocol === 'batches') {
    const batches = how === 'answer-nothing' ? [] : BatchesResponse.deserialize(answer);
    return BatchesResponse.serialize(how === 'forge-bodies' ? batches.map(withOtherEnd) : batches);
  }
  if (protocol !== 'range') return answer;
  const { blocks, certificates } = RangeResponse.deserialize(answer);
  switch (how) {
    case 'answer-nothing':
      return RangeResponse.serialize({ blocks: [], certificates: [] });
    case 'forge-certificates': {
      const forged = certificates.map((certificate) => ({ ...certificate, signers: certificate.signers.clone() }));
      for (const { signers } of forged) signers.set(0, !signers.get(0));
      return RangeResponse.serialize({ blocks, certificates: forged });
    }
    case 'unlink-blocks': {
      const unlinked = blocks.map((block, i) =>
        i === 0 ? { ...block, header: { ...block.header, timestampMs: block.header.timestampMs + 1 } } : block,
      );
      return RangeResponse.serialize({ blocks: unlinked, certificates });
    }
    default:
      return answer;
  }
}

function withOtherEnd(bytes: Uint8Array): Uint8Array {
  const other = bytes.slice();
  other[other.length - 1]! ^= 1;
  return other;
}
