/** What of a proposal can be judged by itself, before its parent or its data are known (R7, R8, R11). Pure functions. */

import {
  type BatchRef,
  BLOCK_VERSION,
  bundleEnds,
  type Certificate,
  equalBytes,
  type Height,
  type LeaderSchedule,
  type Proposal,
  SkipCertificates,
  type ValidatorIndex,
  type View,
  VoteKind,
  ZERO_HASH,
} from '@squad/types';
import { refsMatch } from './chain.ts';

export interface ProposalContext {
  readonly networkId: Uint8Array;
  readonly epoch: number;
  readonly leaders: LeaderSchedule;
  /** Height of the epoch's boundary block. */
  readonly lastHeight: Height;
}

/** The first thing that is wrong with the form of a proposal; undefined if nothing is. Signatures are not looked at. */
export function proposalFault(proposal: Proposal, context: ProposalContext): string | undefined {
  const { block, parentCertificate, skips } = proposal;
  const { header } = block;
  if (header.version !== BLOCK_VERSION) return `version ${header.version}, not ${BLOCK_VERSION}`;
  if (!equalBytes(header.networkId, context.networkId)) return 'of another network';
  if (header.epoch !== context.epoch) return `epoch ${header.epoch}, not ${context.epoch}`;
  if (header.leader !== context.leaders.leaderAt(header.view))
    return `validator ${header.leader} does not lead view ${header.view}`;
  if (header.parentView >= header.view) return `parent view ${header.parentView} is not below ${header.view}`;
  const namesNextSet = !equalBytes(header.nextValidatorSetHash, ZERO_HASH);
  if (header.height === context.lastHeight) {
    if (!namesNextSet) return 'ends its epoch and names no next validator set';
  } else if (namesNextSet) return 'names a next validator set in the middle of an epoch';
  if (header.height > context.lastHeight && block.refs.length > 0) return 'orders batches after the end of its epoch';
  const cut = cutBundle(block.refs);
  if (cut !== undefined) return `cuts a bundle of lane ${cut}, or has one that is too long`;
  if (!refsMatch(block)) return 'the refs root is not that of its refs';
  if (!isCertificateOf(parentCertificate, header.parentView, header.parentHash))
    return 'the parent certificate is not for its parent';
  const skipFault = skipsFault(skips, header.parentView, header.view);
  if (skipFault) return skipFault;
  if (!equalBytes(SkipCertificates.hashTreeRoot(skips), header.skipsRoot))
    return 'the skips root is not that of its skips';
  return undefined;
}

/** The lane whose refs do not end where a bundle does (R1), by these refs alone: each block begins where one ended. */
function cutBundle(refs: readonly BatchRef[]): ValidatorIndex | undefined {
  for (let from = 0; from < refs.length; ) {
    const { author } = refs[from]!;
    let to = from + 1;
    while (refs[to]?.author === author) to++;
    if (bundleEnds(refs.slice(from, to)).at(-1) !== to - from) return author;
    from = to;
  }
  return undefined;
}

/** Where the skips of a proposal are wrong (E4): at a position, or in their number. */
export interface WrongSkipPlace {
  readonly position: number | undefined;
}

/** By form alone; undefined if nothing is wrong, or the header does not commit to these skips and so proves nothing. */
export function wrongSkipIn({ block: { header }, skips }: Proposal): WrongSkipPlace | undefined {
  if (!equalBytes(SkipCertificates.hashTreeRoot(skips), header.skipsRoot)) return undefined;
  const { parentView, view } = header;
  if (skips.length !== view - parentView - 1) return { position: undefined };
  const position = skips.findIndex((skip, i) => !isSkipOf(skip, parentView + 1 + i));
  return position === -1 ? undefined : { position };
}

function isCertificateOf(certificate: Certificate, view: View, hash: Uint8Array): boolean {
  return certificate.kind !== VoteKind.nullify && certificate.view === view && equalBytes(certificate.blockHash, hash);
}

/** One nullification for each view between parent and block, ascending. */
function skipsFault(skips: readonly Certificate[], parentView: View, view: View): string | undefined {
  if (skips.length !== view - parentView - 1) {
    return `${skips.length} nullifications for the ${view - parentView - 1} views between parent and block`;
  }
  for (const [i, skip] of skips.entries()) {
    if (!isSkipOf(skip, parentView + 1 + i)) return `view ${parentView + 1 + i} is not nullified`;
  }
  return undefined;
}

function isSkipOf(skip: Certificate, view: View): boolean {
  return skip.kind === VoteKind.nullify && skip.view === view;
}
