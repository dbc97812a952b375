/**
 * Votes and what a quorum of them does (section 5, R9, R12 to R15): counting, certificates, entering views, finality.
 */

import { certificateFault } from '@squad/crypto';
import {
  type BlockHash,
  type Certificate,
  equalBytes,
  fromHex,
  signersOf,
  toHex,
  type ValidatorIndex,
  type View,
  type Vote,
  VoteKind,
} from '@squad/types';
import { sameCertificate } from './certificates.ts';
import type { ChainBlock } from './chain.ts';
import { endByFinalization } from './epochs.ts';
import { watchCertificate, watchHeldCertificate, watchVote } from './evidence.ts';
import { advancesAnchor } from './l1-anchor.ts';
import { relay, showsCertificate } from './relay.ts';
import { newRound, type State } from './state.ts';
import { VOTE_WINDOW_VIEWS } from './tally.ts';

/** Section 5: the channel's identity is the signer; at quorum weight the votes become a certificate. */
export function onVote(s: State, from: ValidatorIndex, vote: Vote): void {
  if (vote.signer !== from) return s.misbehaved(from, `sent a vote of validator ${vote.signer}`);
  if (!inVoteWindow(s, vote.view)) return watchVote(s, vote);
  count(s, vote);
  // R13: the leader's own nullify ends its view.
  if (vote.kind === VoteKind.nullify && vote.view === s.view && from === s.leader) s.round.abandoned = true;
}

/** R23: votes only for views up to the next one, above the final one, and not too far back. */
function inVoteWindow(s: State, view: View): boolean {
  return view <= s.view + 1 && view > s.finalView && view > s.view - VOTE_WINDOW_VIEWS;
}

export function count(s: State, vote: Vote): void {
  watchVote(s, vote);
  if (isHeld(s, vote)) return;
  const { certificate, forgers } = s.tally.add(vote);
  for (const forger of forgers) s.misbehaved(forger, `signed a vote of view ${vote.view} badly`);
  if (certificate) accept(s, certificate);
}

/** After a restart: the votes of before still count, here as well as with the others. */
export function countOwnVotes(s: State): void {
  for (const vote of s.signer.votesAbove(s.finalView)) if (inVoteWindow(s, vote.view)) count(s, vote);
}

/** Sends an own vote once it is durable, and counts it. */
export function cast(s: State, vote: Vote | undefined): void {
  if (!vote) return;
  s.persist({ type: 'vote', vote });
  s.send({ type: 'vote', vote });
  if (vote.view === s.view) s.round.sentAtMs = s.now;
  count(s, vote);
}

/** Whether a certificate for this content is held, so that its votes have done their work. */
function isHeld(s: State, { kind, view, blockHash }: Pick<Certificate, 'kind' | 'view' | 'blockHash'>): boolean {
  if (view <= s.finalView) return true;
  if (kind === VoteKind.finalize) {
    const awaited = s.awaited?.certificate;
    return awaited !== undefined && awaited.view >= view;
  }
  const held = kind === VoteKind.nullify ? s.held.nullification(view) : s.held.notarization(view);
  return held !== undefined && equalBytes(held.blockHash, blockHash);
}

/** Certificates are taken for any view. One that is held already is never verified again. */
export function onCertificate(s: State, from: ValidatorIndex, certificate: Certificate): boolean {
  if (certificate.epoch !== s.config.validatorSet.epoch) return false;
  showsCertificate(s, from, certificate);
  if (isHeld(s, certificate)) {
    seeFresh(s, certificate);
    watchHeldCertificate(s, from, certificate);
    return true;
  }
  const fault = certificateFault(certificate, { ...s.config, quorum: s.quorum });
  if (fault) {
    s.misbehaved(from, `sent a certificate of view ${certificate.view} that is ${fault}`);
    return false;
  }
  accept(s, certificate);
  return true;
}

/**
 * A certificate that a proposal carries as its justification (R8): to be held by view is not enough here. Held for this
 * very block it is not verified again; with `asIs`, only if it is held with these signers and this signature.
 */
export function onCarriedCertificate(s: State, from: ValidatorIndex, certificate: Certificate, asIs: boolean): boolean {
  const known = asIs ? isHeldAsIs(s, certificate) : isCertified(s, certificate);
  if (!known && isHeld(s, certificate)) {
    const fault = certificateFault(certificate, { ...s.config, quorum: s.quorum });
    if (fault) {
      s.misbehaved(from, `justified a proposal by a certificate of view ${certificate.view} that is ${fault}`);
      return false;
    }
  }
  return onCertificate(s, from, certificate);
}

function isHeldAsIs(s: State, certificate: Certificate): boolean {
  const held = s.held.nullification(certificate.view);
  return certificate.kind === VoteKind.nullify && held !== undefined && sameCertificate(held, certificate);
}

/** Whether this very block is known to be notarized or final. What lies below the final block is nobody's parent. */
function isCertified(s: State, { view, blockHash }: Certificate): boolean {
  if (view < s.finalView) return true;
  if (view === s.finalView) return toHex(blockHash) === s.chain.head.hash;
  const candidates = [s.held.notarization(view), s.awaited?.certificate];
  return candidates.some((held) => held?.view === view && equalBytes(held.blockHash, blockHash));
}

/** R19: the certificate on which the current view stands was seen again since the start. */
function seeFresh(s: State, certificate: Certificate): void {
  if (certificate.view === s.view - 1) s.fresh = true;
}

/** A certificate that is valid and new, received or formed. */
function accept(s: State, certificate: Certificate): void {
  // Two notarizations in one view take more than F. The second one convicts, and is not taken in: nodes that hold the one
  // and nodes that hold the other would each take the other's for new and relay it, for ever.
  const isSecond = certificate.kind === VoteKind.notarize && s.held.notarization(certificate.view) !== undefined;
  if (isSecond) return watchCertificate(s, certificate);
  s.persist({ type: 'certificate', certificate });
  relay(s, certificate); // once: it is new only once
  watchCertificate(s, certificate);
  switch (certificate.kind) {
    case VoteKind.notarize:
      return onNotarization(s, certificate);
    case VoteKind.nullify:
      return onNullification(s, certificate);
    case VoteKind.finalize:
      return onFinalization(s, certificate);
  }
}

/** R12. */
function onNotarization(s: State, certificate: Certificate): void {
  const { view, blockHash: hash } = certificate;
  s.held.hold(certificate);
  if (view === s.view) {
    const votedAtMs = s.round.notarizedAtMs;
    s.pacemaker.certified(votedAtMs === undefined ? undefined : s.now - votedAtMs);
    if (advancesAnchor(s)) s.l1.advanced();
  }
  const known = s.chain.get(toHex(hash));
  if (known) certified(s, known);
  cast(s, s.signer.finalize(view, hash));
  enterView(s, view + 1, certificate);
  if (!known) fetchBlock(s, hash, signersOf(certificate));
}

/** R14. It does not undo a notarization that is held. */
function onNullification(s: State, certificate: Certificate): void {
  s.held.hold(certificate);
  if (certificate.view === s.view) {
    s.pacemaker.uncertified();
    if (advancesAnchor(s)) s.l1.failed(s.now);
  }
  enterView(s, certificate.view + 1, certificate);
}

/** R15. */
function onFinalization(s: State, certificate: Certificate): void {
  enterView(s, certificate.view + 1, certificate);
  s.awaited = { certificate, fetchAgainAtMs: s.now };
  finalizeAwaited(s);
}

export function finalizeAwaited(s: State): void {
  if (!s.awaited || s.ended) return;
  const { certificate } = s.awaited;
  const hash: BlockHash = toHex(certificate.blockHash);
  const known = s.chain.pathFromHead(hash);
  if (!known) return; // `fetchAwaited` asks for what is missing
  if (s.chain.get(hash)!.block.header.height >= s.lastHeight) return endByFinalization(s, known, certificate);
  s.awaited = undefined;
  const path = s.chain.finalize(hash, certificate);
  for (const block of path) s.persistBlock(block);
  const { view, height } = s.chain.head.block.header;
  s.persist({ type: 'finalized', hash, height, certificate });
  forgetBelow(s, view);
  s.out.push({ type: 'final', blocks: path.map(({ block }) => block), certificate });
}

export function forgetBelow(s: State, finalView: View): void {
  s.held.prune(finalView);
  s.signer.prune(finalView);
  s.tally.pruneBelow(Math.max(finalView + 1, s.view - VOTE_WINDOW_VIEWS));
  s.lanes.prune(s.chain.head.tips);
}

/** A block that is notarized and known: kept, and announced as soft after its ancestors. */
export function certified(s: State, certified: ChainBlock): void {
  for (const block of s.chain.pathFromHead(certified.hash) ?? []) {
    s.persistBlock(block);
    const certificate = s.held.notarization(block.block.header.view);
    if (block.announced || !certificate || toHex(certificate.blockHash) !== block.hash) continue;
    // R22: an epilogue block is no part of the chain that is delivered.
    if (block.block.header.height > s.lastHeight) continue;
    block.announced = true;
    s.out.push({ type: 'soft', block: block.block, certificate });
  }
}

export function enterView(s: State, view: View, certificate: Certificate): void {
  if (view <= s.view) return seeFresh(s, certificate);
  s.view = view;
  s.entry = certificate;
  s.fresh = true;
  s.tally.pruneBelow(Math.max(s.finalView + 1, view - VOTE_WINDOW_VIEWS));
  s.watch.pruneBelow(view - VOTE_WINDOW_VIEWS);
  enterRound(s);
}

export function enterRound(s: State): void {
  const { own, proposal, notarizedAtMs } = s.round;
  s.lastProposalAtMs = own ? notarizedAtMs : proposal?.receivedAtMs;
  s.round = newRound(s.now);
  s.out.push({ type: 'enteredView', view: s.view, leader: s.leader });
}

/** Asks for a block that is not in the tree, or for what it waits for. */
export function fetchBlock(s: State, hash: Uint8Array, holders: readonly ValidatorIndex[]): void {
  const wanted = s.chain.missingAncestor(toHex(hash)) ?? toHex(hash);
  s.out.push({ type: 'fetchBlock', hash: fromHex(wanted), holders });
}
