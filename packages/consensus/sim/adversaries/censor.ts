/** As leader leaves out the batches of one or more others, never acknowledges them, and nullifies who orders them. */

import { BatchRefs, blockHash, type Proposal, VoteKind, ZERO_HASH } from '@squad/types';
import type { AdversaryFactory } from './adversary.ts';

export const censor: AdversaryFactory = ({ others, random, sign, send }) => {
  const banned = new Set(random.subset(others, 0.4));
  if (banned.size === 0) banned.add(random.pick(others));
  const nullifies = random.chance(0.5);
  const censored = (proposal: Proposal): Proposal => {
    const refs = proposal.block.refs.filter(({ author }) => !banned.has(author));
    if (refs.length === proposal.block.refs.length) return proposal;
    const block = { header: { ...proposal.block.header, refsRoot: BatchRefs.hashTreeRoot(refs) }, refs };
    const vote = sign(VoteKind.notarize, block.header.view, blockHash(block.header));
    return { ...proposal, block, leaderSignature: vote.signature };
  };
  return {
    acknowledges: (author) => !banned.has(author),
    servesBatch: ({ ref }) => !banned.has(ref.author),
    send: (_to, message) =>
      message.type === 'proposal' ? [{ type: 'proposal', proposal: censored(message.proposal) }] : [message],
    received: (_from, message) => {
      if (message.type !== 'proposal' || !nullifies) return;
      if (!message.proposal.block.refs.some(({ author }) => banned.has(author))) return;
      const vote = sign(VoteKind.nullify, message.proposal.block.header.view, ZERO_HASH);
      for (const to of others) send(to, { type: 'vote', vote });
    },
  };
};
