/** As leader proposes two blocks to two parts of the others, and votes for both, all the way. */

import { BatchRefs, type Block, blockHash, type Proposal, toHex, VoteKind } from '@squad/types';
import type { AdversaryFactory } from './adversary.ts';

/** A valid sibling: an earlier or later millisecond, or fewer refs. */
function sibling({ header, refs }: Block, dropRefs: boolean): Block {
  if (!dropRefs || refs.length === 0) return { header: { ...header, timestampMs: header.timestampMs + 1 }, refs };
  return { header: { ...header, refsRoot: BatchRefs.hashTreeRoot([]) }, refs: [] };
}

export const equivocator: AdversaryFactory = ({ others, random, side, sign, send }) => {
  const twins = new Map<string, Proposal>();
  const answered = new Set<string>();
  const split = random.shuffle(others);
  const half = random.chance(0.6) ? side : new Set(split.slice(0, random.integer(1, split.length)));
  /** Everyone hears of both in a part of the schedules: then the evidence comes out. */
  const open = random.chance(0.3);
  return {
    send: (to, message) => {
      if (message.type !== 'proposal') {
        // Its honest votes go to the half that knows the first block only.
        return message.type === 'vote' && half.has(to) && !open ? [] : [message];
      }
      const { proposal } = message;
      const hash = blockHash(proposal.block.header);
      let twin = twins.get(toHex(hash));
      if (!twin) {
        const block = sibling(proposal.block, random.chance(0.5));
        const vote = sign(VoteKind.notarize, block.header.view, blockHash(block.header));
        twin = { ...proposal, block, leaderSignature: vote.signature };
        twins.set(toHex(hash), twin);
      }
      const twinMessage = { type: 'proposal', proposal: twin } as const;
      if (open) return random.chance(0.5) ? [message, twinMessage] : [twinMessage, message];
      return half.has(to) ? [twinMessage] : [message];
    },
    received: (from, message) => {
      // Whatever another one notarizes or finalizes, so does this one, towards that one and its half.
      if (message.type !== 'vote' || message.vote.kind === VoteKind.nullify) return;
      const { kind, view, blockHash: hash } = message.vote;
      // Two of these would answer each other for ever.
      const name = `${from} ${kind} ${view} ${toHex(hash)}`;
      if (answered.has(name)) return;
      answered.add(name);
      const vote = sign(kind, view, hash);
      send(from, { type: 'vote', vote });
      if (kind === VoteKind.notarize) send(from, { type: 'vote', vote: sign(VoteKind.finalize, view, hash) });
    },
  };
};
