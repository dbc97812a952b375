/** What passes is shown to the watch, and what it finds is put out: evidence, and whoever signed badly what was looked into. */

import { certificateFault } from '@squad/crypto';
import { type Certificate, equalBytes, type Proposal, type ValidatorIndex, type View, type Vote } from '@squad/types';
import type { WrongSkipPlace } from './proposal.ts';
import type { State } from './state.ts';
import { VOTE_WINDOW_VIEWS } from './tally.ts';
import type { Watched } from './watch.ts';

/** R23: the votes of views that are over still count here, whether they are final or not. */
function inWatchWindow(s: State, view: View): boolean {
  return view >= 1 && view <= s.view + 1 && view > s.view - VOTE_WINDOW_VIEWS;
}

/** A vote that came from its signer, or in a proposal from its leader. */
export function watchVote(s: State, vote: Vote): void {
  if (inWatchWindow(s, vote.view)) report(s, vote.view, s.watch.vote(vote));
}

/** A certificate that is verified. Those of later views are taken too: they are entered at once. */
export function watchCertificate(s: State, certificate: Certificate): void {
  if (certificate.view <= s.view - VOTE_WINDOW_VIEWS) return;
  report(s, certificate.view, s.watch.certificate(certificate));
}

/** A certificate that is not needed, and was not verified: only if it would convict anybody it is looked at. */
export function watchHeldCertificate(s: State, from: ValidatorIndex, certificate: Certificate): void {
  if (!inWatchWindow(s, certificate.view) || !s.watch.wouldConvict(certificate)) return;
  const fault = certificateFault(certificate, { ...s.config, quorum: s.quorum });
  if (fault) return s.misbehaved(from, `sent a certificate of view ${certificate.view} that is ${fault}`);
  watchCertificate(s, certificate);
}

/** What was held before a restart is compared with what comes after it. */
export function watchHeldCertificates(s: State): void {
  for (const certificate of s.held.all()) watchCertificate(s, certificate);
  if (s.finalView > 0) watchCertificate(s, s.chain.finalization);
}

/** E4: a proposal, whose leader signed it, with skips that are not what they must be. */
export function watchWrongSkip(s: State, { block, skips }: Proposal, place: WrongSkipPlace | undefined): void {
  const { header } = block;
  const skipsViews = header.parentView < header.view - 1 && equalBytes(header.networkId, s.config.networkId);
  if (place && skipsViews) report(s, header.view, s.watch.wrongSkip(header, skips, place.position));
}

function report(s: State, view: View, { evidence, forgers }: Watched): void {
  for (const found of evidence) s.out.push({ type: 'evidence', evidence: found });
  for (const forger of forgers) s.misbehaved(forger, `signed a vote of view ${view} badly`);
}
