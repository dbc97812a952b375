/** Time: when a view is given up (R13, R17, R18), what is sent again, and when to be woken. */

import {
  type Certificate,
  MAX_BODY_LAG_BLOCKS,
  MAX_CLOCK_DRIFT_MS,
  toHex,
  type UnixMs,
  type ValidatorIndex,
  type View,
  VoteKind,
} from '@squad/types';
import type { ChainBlock } from './chain.ts';
import type { State } from './state.ts';
import { cast } from './voting.ts';

/** Certificates of a justification that are sent again to one peer at a time. */
export const MAX_RESENT_CERTIFICATES = 128;

/** R18: until when the leader may wait for something to order; not when this node holds an old batch to be ordered. */
export function graceEndsMs(s: State): UnixMs {
  const { enteredAtMs } = s.round;
  const parent = highestCertified(s);
  if (parent.block.header.height >= s.lastHeight) return enteredAtMs; // R22: the epilogue waits for nothing
  const idle = enteredAtMs + s.config.options.heartbeatMs;
  const oldest = s.lanes.oldestUnorderedMs(parent.tips);
  if (oldest === undefined) return idle;
  return Math.min(idle, Math.max(enteredAtMs, oldest + s.pacemaker.delayMs));
}

/** The highest certified block that is known. */
function highestCertified(s: State): ChainBlock {
  if (!s.held.hasNotarization) return s.chain.head;
  for (const view of s.held.notarizedBelow(s.view)) {
    const block = s.chain.get(toHex(s.held.notarization(view)!.blockHash));
    if (block) return block;
  }
  return s.chain.head;
}

/** R10: before this a leader lets more gather. A clock that was set back makes nobody wait. */
export function nextBlockAtMs({ now, lastProposalAtMs, pacemaker }: State): UnixMs {
  const isRecent = lastProposalAtMs !== undefined && now >= lastProposalAtMs;
  return isRecent ? lastProposalAtMs + pacemaker.blockIntervalMs : now;
}

/** When this view is given up: 2D for the leader to propose, then 3D for a certificate. */
function timeoutMs(s: State): UnixMs {
  const { proposal, own } = s.round;
  const delayMs = s.pacemaker.delayMs;
  if (own) return s.round.notarizedAtMs! + 3 * delayMs;
  if (proposal) return proposal.receivedAtMs + 3 * delayMs;
  return graceEndsMs(s) + 2 * delayMs;
}

/** R13. */
export function nullifyIfDue(s: State): void {
  const round = s.round;
  const due =
    round.abandoned ||
    s.now >= timeoutMs(s) ||
    (!round.proposal && s.pacemaker.isInactive(s.leader, s.now)) ||
    isOwnAndFarBehind(s);
  if (due) cast(s, s.signer.nullify(s.view));
}

/** R21: it will not propose, and the others need not wait for it. */
function isOwnAndFarBehind(s: State): boolean {
  if (s.leader !== s.self || s.round.own || !s.fresh) return false;
  const missingViews = s.awaited ? s.awaited.certificate.view - s.finalView : 0;
  // At the start of an epoch the driver's word on the bodies comes right after: its first view is not given up before.
  const lagsInBodies = s.bodiesHeight !== undefined && s.lagsInBodies;
  return lagsInBodies || missingViews > MAX_BODY_LAG_BLOCKS;
}

/** What was sent in this view and brought no certificate is sent again. */
export function retry(s: State): void {
  if (s.now < retryAtMs(s)) return;
  resend(s, undefined);
  s.round.sentAtMs = s.now;
}

function retryAtMs(s: State): UnixMs {
  return (s.round.sentAtMs ?? timeoutMs(s)) + s.pacemaker.retryMs;
}

export function resend(s: State, to: ValidatorIndex | undefined): void {
  if (s.finalView > 0) s.send({ type: 'certificate', certificate: s.chain.finalization }, to);
  if (s.entry) s.send({ type: 'certificate', certificate: s.entry }, to);
  if (s.self === undefined) return;
  if (s.round.own) s.send({ type: 'proposal', proposal: s.round.own }, to);
  for (const vote of s.signer.votesIn(s.view)) s.send({ type: 'vote', vote }, to);
  const [notarized] = s.held.notarizedBelow(s.view);
  // A leader needs the nullification of every view that it skips, and may have entered its view on the last one alone.
  for (const certificate of justification(s, notarized)) s.send({ type: 'certificate', certificate }, to);
  if (notarized === undefined) return;
  for (const vote of s.signer.votesIn(notarized)) {
    if (vote.kind === VoteKind.finalize) s.send({ type: 'vote', vote }, to);
  }
}

/** The certificates from the highest notarized view on, but the last, which is the entry; of very many another part each time. */
function justification(s: State, notarized: View | undefined): Certificate[] {
  const nullifications = s.held.nullificationsBetween(notarized ?? s.finalView, s.view - 1);
  const from = nullifications.length > MAX_RESENT_CERTIFICATES ? s.resent % nullifications.length : 0;
  s.resent = from + MAX_RESENT_CERTIFICATES;
  const part = nullifications.slice(from, from + MAX_RESENT_CERTIFICATES);
  const notarization = notarized === undefined || notarized === s.view - 1 ? undefined : s.held.notarization(notarized);
  return notarization ? [notarization, ...part] : part;
}

export function wakeAtMs(s: State): UnixMs {
  const { now, round } = s;
  let soonest = Number.POSITIVE_INFINITY;
  const wake = (atMs: UnixMs | undefined): void => {
    if (atMs !== undefined && atMs > now && atMs < soonest) soonest = atMs;
  };
  // The retry is always to come: if it was due, it has just been done.
  wake(retryAtMs(s));
  if (s.self === undefined || !s.signer.hasNullified(s.view)) wake(timeoutMs(s));
  if (s.leader === s.self && !round.own) {
    wake(round.enteredAtMs + s.config.options.heartbeatMs);
    wake(s.lanes.nextCollectableMs(highestCertified(s).tips, now, s.pacemaker.delayMs));
    wake(nextBlockAtMs(s));
  }
  const timestampMs = round.proposal?.proposal.block.header.timestampMs;
  if (timestampMs !== undefined && timestampMs > now + MAX_CLOCK_DRIFT_MS) wake(timestampMs - MAX_CLOCK_DRIFT_MS);
  wake(s.pending.notarization?.dueMs);
  wake(s.pending.finalization?.dueMs);
  wake(s.awaited?.fetchAgainAtMs);
  wake(s.handOverAgainAtMs);
  wake(round.fetchAgainAtMs);
  return soonest;
}
