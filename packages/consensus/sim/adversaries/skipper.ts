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
  signerBits,
  type View,
  VoteKind,
  ZERO_HASH,
} from '@squad/types';
import { forgedSignature } from '../mock-scheme.ts';
import type { AdversaryFactory } from './adversary.ts';

const BENDS = [
  'old-parent',
  'old-parent-forged-skips',
  'wrong-skips',
  'forged-parent',
  'gap',
  'repeat',
  'past',
  'future',
  'roots',
  'height',
] as const;

export const skipper: AdversaryFactory = ({ self, epoch, lastHeight, others, random, sign, send }) => {
  /** Proposals seen, newest last, with their certificates: parents to fork off from. */
  const seen: Proposal[] = [];

  const signed = (block: Block, parentCertificate: Certificate, skips: Certificate[]): Proposal => ({
    block,
    parentCertificate,
    skips,
    leaderSignature: sign(VoteKind.notarize, block.header.view, blockHash(block.header)).signature,
  });

  /** Under an older parent, which was certified, as if the views since had never been. */
  const onOldParent = (proposal: Proposal, skipsFor: (from: View, to: View) => Certificate[]): Proposal => {
    const older = seen.filter(({ block }) => block.header.parentView < proposal.block.header.parentView);
    if (older.length === 0) return proposal;
    // The newest of them: most of what is older is final already.
    const { block, parentCertificate } = random.chance(0.8) ? older.at(-1)! : random.pick(older.slice(-4));
    const { parentView, parentHash, height } = block.header;
    const skips = skipsFor(parentView, proposal.block.header.view);
    const header = {
      ...proposal.block.header,
      parentView,
      parentHash,
      height,
      skipsRoot: SkipCertificates.hashTreeRoot(skips),
      refsRoot: BatchRefs.hashTreeRoot([]),
    };
    return signed({ header, refs: [] }, parentCertificate, skips);
  };

  /** Nullifications that nobody signed. */
  const forgedSkips = (from: View, to: View): Certificate[] => {
    const skips: Certificate[] = [];
    for (let view = from + 1; view < to; view++) {
      skips.push({
        kind: VoteKind.nullify,
        epoch,
        view,
        blockHash: ZERO_HASH,
        signers: signerBits(others.length + 1, [...others, self]),
        signature: forgedSignature(view, true),
      });
    }
    return skips;
  };

  /** A block that another one proposed in vain, or never: as a parent that nobody certified. */
  const onForgedParent = (proposal: Proposal): Proposal => {
    const uncertified = seen.at(-1);
    if (!uncertified || uncertified.block.header.view >= proposal.block.header.view) return proposal;
    const { header } = uncertified.block;
    const forged = {
      ...proposal.parentCertificate,
      kind: random.chance(0.5) ? VoteKind.notarize : VoteKind.finalize,
      view: header.view,
      blockHash: blockHash(header),
      signers: signerBits(others.length + 1, [...others, self]),
      signature: forgedSignature(header.view, true),
    };
    // Or a genuine one, of another block.
    const parentCertificate = random.chance(0.5) ? forged : proposal.parentCertificate;
    const isNext = header.view === proposal.block.header.view - 1;
    const skips = isNext ? [] : forgedSkips(header.view, proposal.block.header.view);
    const bent = {
      ...proposal.block.header,
      parentView: header.view,
      parentHash: blockHash(header),
      height: header.height + 1,
      timestampMs: Math.max(header.timestampMs, proposal.block.header.timestampMs),
      skipsRoot: SkipCertificates.hashTreeRoot(skips),
      refsRoot: BatchRefs.hashTreeRoot([]),
    };
    return signed({ header: bent, refs: [] }, parentCertificate, skips);
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

  /** R22: at a boundary, after it, and where there is none. */
  const acrossEpochs = (proposal: Proposal): Proposal => {
    const { header } = proposal.block;
    if (header.height <= lastHeight) {
      return withHeader(proposal, { nextValidatorSetHash: random.chance(0.3) ? ZERO_HASH : random.bytes(32) });
    }
    const ordered = seen.findLast(({ block }) => block.refs.length > 0)?.block.refs.at(-1);
    if (!ordered) return proposal;
    return withRefs(proposal, [{ ...ordered, seq: ordered.seq + 1, digest: random.bytes(32) }]);
  };

  const bend = (proposal: Proposal): Proposal => {
    const { header, refs } = proposal.block;
    const isAtEnd = header.height >= lastHeight;
    if (lastHeight < Number.POSITIVE_INFINITY && random.chance(isAtEnd ? 0.8 : 0.1)) return acrossEpochs(proposal);
    // The view before was nullified, and what was proposed in it is known: the best moment to build on what nobody certified.
    const isSkipped = seen.at(-1)?.block.header.view === header.view - 1 && header.parentView < header.view - 1;
    if (isSkipped && random.chance(0.6)) return onForgedParent(proposal);
    switch (random.pick(BENDS)) {
      case 'old-parent':
        return onOldParent(proposal, () => []);
      case 'old-parent-forged-skips':
        return onOldParent(proposal, forgedSkips);
      case 'wrong-skips':
        return onOldParent(proposal, () => proposal.skips);
      case 'forged-parent':
        return onForgedParent(proposal);
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
    enteredView: (view, leader) => {
      // At once, while the block before is not final yet: a sibling of it, as if its view had been nullified.
      const last = seen.at(-1);
      if (leader !== self || !last || last.block.header.view !== view - 1 || random.chance(0.5)) return;
      const skips = random.chance(0.5) ? forgedSkips(last.block.header.parentView, view) : [];
      const header = {
        ...last.block.header,
        view,
        leader: self,
        skipsRoot: SkipCertificates.hashTreeRoot(skips),
        refsRoot: BatchRefs.hashTreeRoot([]),
      };
      const proposal = signed({ header, refs: [] }, last.parentCertificate, skips);
      bent.set(view, proposal);
      for (const to of others) send(to, { type: 'proposal', proposal });
    },
  };
};
