/** Proposals: a leader makes one (R10), a follower judges it and votes (R8, R11). */

import {
  BatchRefs,
  BLOCK_VERSION,
  type Block,
  blockHash,
  type Certificate,
  equalBytes,
  fromHex,
  MAX_CLOCK_DRIFT_MS,
  MAX_SKIPPED_VIEWS,
  type Proposal,
  SkipCertificates,
  signersOf,
  toHex,
  type ValidatorIndex,
  type Vote,
  VoteKind,
} from '@squad/types';
import type { ChainBlock } from './chain.ts';
import { nextSetHashAt } from './epochs.ts';
import { watchVote, watchWrongSkip } from './evidence.ts';
import { anchorAfter, anchorFaultOf, anchorOf, nextAnchor } from './l1-anchor.ts';
import { proposalFault, wrongSkipIn } from './proposal.ts';
import type { State } from './state.ts';
import { graceEndsMs, nextBlockAtMs } from './timers.ts';
import { cast, count, fetchBlock, onCarriedCertificate, onCertificate } from './voting.ts';

export function onProposal(s: State, from: ValidatorIndex, proposal: Proposal): void {
  const { header } = proposal.block;
  if (header.view > s.view + 1) return;
  if (header.view < s.view) return watchLateProposal(s, from, proposal);
  if (from !== s.leaders.leaderAt(header.view)) {
    return s.misbehaved(from, `proposed in view ${header.view}, which it does not lead`);
  }
  // The vote in it would count as that one's.
  if (header.leader !== from) return s.misbehaved(from, `proposed in the name of validator ${header.leader}`);
  if (header.view === s.view + 1 && !justifiesEntry(s, from, proposal)) {
    watchVote(s, leaderVote(proposal));
    s.early = { from, proposal };
    return;
  }
  if (header.view !== s.view || s.round.own) return;
  const vote = leaderVote(proposal);
  if (s.round.proposal) return count(s, vote); // a second one counts only against its leader (E1)
  const fault = proposalFault(proposal, {
    networkId: s.config.networkId,
    epoch: s.config.validatorSet.epoch,
    leaders: s.leaders,
    lastHeight: s.lastHeight,
  });
  if (fault) {
    s.round.abandoned = true; // R13: structurally wrong
    watchVote(s, vote);
    watchWrongSkip(s, proposal, wrongSkipIn(proposal));
    return s.misbehaved(from, `proposed a block of view ${header.view} that is wrong: ${fault}`);
  }
  if (s.signer.hasNullified(s.view) && !s.round.abandoned) s.pacemaker.late(s.now - graceEndsMs(s));
  s.round.proposal = { proposal, hash: toHex(vote.blockHash), receivedAtMs: s.now };
  s.chain.add(proposal.block);
  const round = s.round;
  if (!takeJustification(s, from, proposal)) {
    round.abandoned = true;
    return watchVote(s, vote);
  }
  count(s, vote);
}

/** A proposal that came before its view was entered: its turn, or too late. */
export function takeEarlyProposal(s: State): void {
  const { early } = s;
  if (!early || early.proposal.block.header.view > s.view) return;
  s.early = undefined;
  onProposal(s, early.from, early.proposal);
}

/** Enters the proposal's view by the certificates that it carries; false if they do not lead there. */
function justifiesEntry(s: State, from: ValidatorIndex, proposal: Proposal): boolean {
  const before = s.view;
  const last = proposal.skips.at(-1) ?? proposal.parentCertificate;
  if (last.view !== before) return false;
  onCertificate(s, from, last);
  return s.view === before + 1;
}

/**
 * The parent's certificate and the nullifications of a proposal (R8, R11). The header commits to the nullifications, and a
 * vote for it vouches for them (E4): they must be genuine as they are.
 */
function takeJustification(s: State, from: ValidatorIndex, proposal: Proposal): boolean {
  const { parentCertificate, skips } = proposal;
  if (!isGenesis(s, parentCertificate) && !onCarriedCertificate(s, from, parentCertificate, false)) return false;
  const position = skips.findIndex((skip) => !onCarriedCertificate(s, from, skip, true));
  if (position === -1) return true;
  watchWrongSkip(s, proposal, { position });
  return false;
}

/** A proposal whose view is over counts only against a leader that has made another one in it. */
function watchLateProposal(s: State, from: ValidatorIndex, proposal: Proposal): void {
  const { view, leader } = proposal.block.header;
  if (from === leader && leader === s.leaders.leaderAt(view)) watchVote(s, leaderVote(proposal));
}

function isGenesis(s: State, certificate: Certificate): boolean {
  return certificate.view === 0 && equalBytes(certificate.blockHash, s.root.certificate.blockHash);
}

/** R11: votes for the current view's proposal once everything about it is known and right. */
export function judgeProposal(s: State): void {
  const round = s.round;
  const { proposal: received } = round;
  if (!received || round.notarizedAtMs !== undefined || round.abandoned || s.self === undefined) return;
  if (s.signer.votesIn(s.view).length > 0) return; // R16: before a restart, or NULLIFY
  const { proposal, hash } = received;
  const { header, refs } = proposal.block;
  if (!s.chain.get(hash)) s.chain.add(proposal.block);
  const parent = s.chain.get(toHex(header.parentHash));
  if (!parent) {
    // The parent is certified but not known: its signers hold it.
    if (header.parentView < s.finalView) return abandon(s, 'it forks off below the final block');
    if (mayFetch(s)) fetchBlock(s, header.parentHash, signersOf(proposal.parentCertificate));
    return;
  }
  const above = parent.block.header;
  if (header.height !== above.height + 1)
    return abandon(s, `height ${header.height} on a parent of height ${above.height}`);
  if (header.timestampMs < above.timestampMs) return abandon(s, 'it is older than its parent');
  const anchorFault = anchorFaultOf(s, header, parent.block);
  if (anchorFault) return abandon(s, anchorFault);
  const anchor = s.l1.judge(anchorAfter(s, parent.block), anchorOf(header));
  if (anchor === 'other') {
    round.abandoned = true; // R24: this node and the leader see two L1s, and it cannot know whose is right
    return;
  }
  const nextSetHash = nextSetHashAt(s, header.height);
  if (nextSetHash === undefined) return; // looked at again when it is known
  if (!equalBytes(header.nextValidatorSetHash, nextSetHash)) {
    round.abandoned = true; // R22: two operators disagree, and this node cannot know which of them is wrong
    s.otherNextSets.set(header.leader, header.nextValidatorSetHash);
    s.out.push({ type: 'otherNextSet', leader: header.leader, hash: header.nextValidatorSetHash });
    return;
  }
  if (header.height === s.lastHeight) s.otherNextSets.delete(header.leader);
  const verdict = s.lanes.judge(header.view, refs, parent.tips);
  if (verdict.verdict === 'invalid') return abandon(s, verdict.reason);
  if (header.timestampMs > s.now + MAX_CLOCK_DRIFT_MS) return; // looked at again when the clock has come closer
  if (verdict.verdict === 'missing') {
    // A proposal overtakes the bodies that it orders: they get their time to arrive by themselves.
    if (round.fetchAgainAtMs === 0) round.fetchAgainAtMs = s.now + s.pacemaker.delayMs / 4;
    else if (mayFetch(s)) {
      const holders = [header.leader, ...new Set(verdict.refs.map(({ author }) => author))];
      s.out.push({ type: 'fetchBatches', refs: verdict.refs, holders: [...new Set(holders)] });
    }
    return;
  }
  if (anchor === 'unknown') return; // R24: looked at again when more of the L1 is known
  if (s.lagsInBodies) return; // R21
  const block = s.chain.get(hash);
  if (!block) return; // the tree is full
  const vote = s.signer.notarize(header.view, fromHex(hash));
  if (!vote) return;
  s.persistWithAncestors(block);
  round.notarizedAtMs = s.now;
  cast(s, vote);
}

function abandon(s: State, reason: string): void {
  s.round.abandoned = true;
  s.misbehaved(s.leader, `proposed a block of view ${s.view} that is wrong: ${reason}`);
}

export function propose(s: State): void {
  const round = s.round;
  if (s.self === undefined || s.leader !== s.self || round.own || round.abandoned) return;
  if (!s.fresh || s.lagsInBodies || s.signer.votesIn(s.view).length > 0) return; // R19, R21, R16
  const parent = chooseParent(s);
  if (!parent) return;
  const { heartbeatMs } = s.config.options;
  const above = parent.block.block.header;
  const height = above.height + 1;
  const nextValidatorSetHash = nextSetHashAt(s, height);
  if (!nextValidatorSetHash) return; // R22
  const isEpilogue = height > s.lastHeight;
  if (isEpilogue && s.awaited) return; // the epoch is over, and held back for want of the next set
  if (!isEpilogue && s.now < nextBlockAtMs(s)) return; // before the lanes are looked through
  const refs = isEpilogue ? [] : s.lanes.collect(s.view, parent.block.tips, s.now, s.pacemaker.delayMs);
  if (refs.length === 0 && !isEpilogue && s.now < round.enteredAtMs + heartbeatMs) return; // R18
  const { number: l1AnchorNumber, hash: l1AnchorHash } = nextAnchor(s, parent.block, height);
  const block: Block = {
    header: {
      version: BLOCK_VERSION,
      networkId: s.config.networkId,
      epoch: s.config.validatorSet.epoch,
      view: s.view,
      height,
      parentView: parent.block.view,
      parentHash: fromHex(parent.block.hash),
      leader: s.self,
      timestampMs: Math.max(s.now, above.timestampMs),
      l1AnchorNumber,
      l1AnchorHash,
      refsRoot: BatchRefs.hashTreeRoot(refs),
      skipsRoot: SkipCertificates.hashTreeRoot(parent.skips),
      nextValidatorSetHash,
    },
    refs,
  };
  const hash = blockHash(block.header);
  s.chain.add(block);
  const added = s.chain.get(toHex(hash));
  const vote = added && s.signer.notarize(s.view, hash); // not added: the tree is full
  if (!added || !vote) return;
  s.persistWithAncestors(added);
  s.persist({ type: 'vote', vote });
  round.own = {
    block,
    parentCertificate: parent.certificate,
    skips: parent.skips,
    leaderSignature: vote.signature,
  };
  round.notarizedAtMs = s.now;
  round.sentAtMs = s.now;
  s.send({ type: 'proposal', proposal: round.own });
  count(s, vote);
}

/** The highest certified view below the current one from which every view is nullified, and its block. */
function chooseParent(
  s: State,
): { readonly block: ChainBlock; readonly certificate: Certificate; readonly skips: Certificate[] } | undefined {
  for (const view of [...s.held.notarizedBelow(s.view), s.finalView]) {
    const skips = s.held.nullifiedBetween(view, s.view);
    // What lies lower skips these views too. Beyond the bound a proposal could not be decoded.
    if (!skips || skips.length > MAX_SKIPPED_VIEWS) return undefined;
    const certificate = view === s.finalView ? s.chain.finalization : s.held.notarization(view)!;
    const block = s.chain.get(toHex(certificate.blockHash));
    if (block) return { block, certificate, skips };
    if (mayFetch(s)) fetchBlock(s, certificate.blockHash, signersOf(certificate));
    return undefined;
  }
  return undefined;
}

function mayFetch(s: State): boolean {
  if (s.now < s.round.fetchAgainAtMs) return false;
  s.round.fetchAgainAtMs = s.now + s.pacemaker.retryMs;
  return true;
}

/** The leader's NOTARIZE, which a proposal carries. */
function leaderVote({ block, leaderSignature }: Proposal): Vote {
  const { epoch, view, leader } = block.header;
  return {
    kind: VoteKind.notarize,
    epoch,
    view,
    blockHash: blockHash(block.header),
    signer: leader,
    signature: leaderSignature,
  };
}
