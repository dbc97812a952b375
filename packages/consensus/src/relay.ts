/**
 * Each certificate goes on to the others once (R9, R12, R14, R15). In a good network all form it of the same votes at the
 * same time, and n relays to n-1 peers would be most of the messages. So a notarization and a finalization wait, and then
 * go only to those who have not shown that they hold it: by a FINALIZE of that block, or by that certificate or a later
 * finalization. The waits differ by validator, so that few have to speak. A nullification goes at once.
 */

import { type Certificate, type UnixMs, type ValidatorIndex, type View, VoteKind } from '@squad/types';
import type { State } from './state.ts';

export interface PendingRelay {
  readonly certificate: Certificate;
  readonly dueMs: UnixMs;
}

/** A certificate that is new here. */
export function relay(s: State, certificate: Certificate): void {
  if (certificate.kind === VoteKind.nullify) return s.send({ type: 'certificate', certificate });
  if (certificate.kind === VoteKind.notarize) {
    // A round later nobody who is alive has anything more to show.
    if (s.pending.notarization) relayNotarization(s, s.pending.notarization.certificate);
    s.pending.notarization = { certificate, dueMs: dueMs(s, certificate.view) };
    return;
  }
  // Proves all that the one before it does, and takes over its time.
  s.pending.finalization = { certificate, dueMs: s.pending.finalization?.dueMs ?? dueMs(s, certificate.view) };
}

/** A peer sent this certificate, so it need not be told of it. */
export function showsCertificate(s: State, from: ValidatorIndex, { kind, view }: Certificate): void {
  if (kind === VoteKind.finalize) s.shownFinalViews[from] = Math.max(view, s.shownFinalViews[from]!);
}

export function relayDue(s: State): void {
  const { notarization, finalization } = s.pending;
  if (notarization && s.now >= notarization.dueMs) {
    s.pending.notarization = undefined;
    relayNotarization(s, notarization.certificate);
  }
  if (finalization && s.now >= finalization.dueMs) {
    s.pending.finalization = undefined;
    const { certificate } = finalization;
    sendTo(s, certificate, (peer) => s.shownFinalViews[peer]! < certificate.view);
  }
}

function relayNotarization(s: State, certificate: Certificate): void {
  // Even if it is final by now: who notarized another block has to see it, for it convicts who notarized both (E1).
  const { view, blockHash } = certificate;
  sendTo(s, certificate, (peer) => !s.watch.holds(VoteKind.finalize, view, blockHash, peer));
}

function sendTo(s: State, certificate: Certificate, lacksIt: (peer: ValidatorIndex) => boolean): void {
  s.config.validatorSet.validators.forEach((_, peer) => {
    if (peer !== s.self && lacksIt(peer)) s.send({ type: 'certificate', certificate }, peer);
  });
}

/** Half of D, and up to as much again: the leader first. */
function dueMs(s: State, view: View): UnixMs {
  const size = s.config.validatorSet.validators.length;
  const behind = ((s.self ?? 0) - s.leaders.leaderAt(view) + size) % size;
  return s.now + (s.pacemaker.delayMs / 2) * (1 + behind / size);
}
