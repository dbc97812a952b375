/** A proposal of a Byzantine leader that orders something else than its core would have it. */

import { type BatchRef, BatchRefs, blockHash, type Proposal, VoteKind } from '@squad/types';
import type { AdversaryContext } from './adversary.ts';

/** The same proposal with these refs, signed anew. */
export function withRefs(proposal: Proposal, refs: BatchRef[], sign: AdversaryContext['sign']): Proposal {
  const header = { ...proposal.block.header, refsRoot: BatchRefs.hashTreeRoot(refs) };
  const { signature } = sign(VoteKind.notarize, header.view, blockHash(header));
  return { ...proposal, block: { header, refs }, leaderSignature: signature };
}
