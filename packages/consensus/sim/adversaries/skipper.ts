/**
 * As leader proposes what no rule allows: on an older parent without the nullifications in between, a gap in a lane, a
 * batch that is ordered already, a timestamp of the past or of the far future, a wrong root, a wrong height.
 */

import {
  BatchRefs,
  type Block,
  blockHash,
  type Certificate,
  type Proposal,
  SkipCertificates,
  VoteKind,
} from '@squad/types';
import type { AdversaryFactory } from './adversary.ts';

const BENDS = ['old-parent', 'gap', 'repeat', 'past', 'future', 'roots', 'height', 'no-skips'] as const;

export const skipper: AdversaryFactory = ({ random, sign }) => {
  /** Proposals seen, newest last, with their certificates: parents to fork off from. */
  const seen: Proposal[] = [];

  const signed = (block: Block, parentCertificate: Certificate, skips: Certificate[]): Proposal => ({
    block,
    parentCertificate,
    skips,
    leaderSignature: sign(VoteKind.notarize, block.header.view, blockHash(block.header)).signature,
  });

  /** Under an older parent, which was certified, as if the views since had never been. */
  const onOldParent = (proposal: Proposal, keepSkips: boolean): Proposal => {
    const older = seen.filter(({ block }) => block.header.parentView < proposal.block.header.parentView);
    if (older.length === 0) return proposal;
    const { block, parentCertificate } = random.pick(older.slice(-4));
    const skips = keepSkips ? proposal.skips : [];
    const { parentView, parentHash, height } = block.header;
    const bent = {
      header: {
        ...proposal.block.header,
        parentView,
        parentHash,
        height,
        skipsRoot: SkipCertificates.hashTreeRoot(skips),
        refsRoot: BatchRefs.hashTreeRoot([]),
      },
      refs: [],
    };
    return signed(bent, parentCertificate, skips);
  };

  const withRefs = (proposal: Proposal, refs: Block['refs']): Proposal => {
    const header = { ...proposal.block.header, refsRoot: BatchRefs.hashTreeRoot(refs) };
    return signed({ header, refs }, proposal.parentCertificate, proposal.skips);
  };

  const withHeader = (proposal: Proposal, change: Partial<Block['header']>): Proposal =>
    signed(
      { header: { ...proposal.block.header, ...change }, refs: proposal.block.refs },
      proposal.parentCertificate,
      proposal.skips,
    );

  const bend = (proposal: Proposal): Proposal => {
    const { header, refs } = proposal.block;
    switch (random.pick(BENDS)) {
      case 'old-parent':
        return onOldParent(proposal, false);
      case 'no-skips':
        return onOldParent(proposal, true);
      case 'gap':
        return withRefs(proposal, refs.slice(1));
      case 'repeat': {
        const before = seen.findLast(({ block }) => block.refs.length > 0 && block.header.height < header.height);
        return before ? withRefs(proposal, before.block.refs) : proposal;
      }
      case 'past':
        return withHeader(proposal, { timestampMs: header.timestampMs - 100_000 });
      case 'future':
        return withHeader(proposal, { timestampMs: header.timestampMs + 60_000 });
      case 'roots':
        return withHeader(
          proposal,
          random.chance(0.5) ? { refsRoot: random.bytes(32) } : { skipsRoot: random.bytes(32) },
        );
      case 'height':
        return withHeader(proposal, { height: header.height + 1 });
    }
  };

  const bent = new Map<number, Proposal>();
  return {
    send: (_to, message) => {
      if (message.type !== 'proposal') return [message];
      const { view } = message.proposal.block.header;
      let instead = bent.get(view);
      if (!instead) {
        instead = random.chance(0.8) ? bend(message.proposal) : message.proposal;
        bent.set(view, instead);
      }
      return [{ type: 'proposal', proposal: instead }];
    },
    received: (_from, message) => {
      if (message.type === 'proposal') seen.push(message.proposal);
    },
  };
};
