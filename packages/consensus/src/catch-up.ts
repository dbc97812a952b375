/** Blocks that peers have and this node does not (R15, R21). Answers are unchecked until they are checked here. */

import { certificateFault } from '@squad/crypto';
import {
  type Block,
  blockHash,
  type Certificate,
  equalBytes,
  fromHex,
  MAX_BLOCKS_PER_RANGE,
  signersOf,
  toHex,
  type ValidatorIndex,
  VoteKind,
} from '@squad/types';
import { refsMatch } from './chain.ts';
import { askForHandOver, isBoundaryOfHandOver } from './epochs.ts';
import { watchCertificate } from './evidence.ts';
import type { State } from './state.ts';
import { certified, enterView, finalizeAwaited } from './voting.ts';

export function onBlockFetched(s: State, from: ValidatorIndex, block: Block): void {
  if (!refsMatch(block)) return s.misbehaved(from, 'answered with a block whose refs are not its own');
  const { header } = block;
  if (header.epoch !== s.config.validatorSet.epoch || !equalBytes(header.networkId, s.config.networkId)) return;
  const joined = s.chain.add(block);
  for (const known of joined) {
    const certificate = s.held.notarization(known.block.header.view);
    if (certificate && toHex(certificate.blockHash) === known.hash) certified(s, known);
  }
  const missing = s.chain.missingAncestor(toHex(blockHash(header)));
  if (missing) s.out.push({ type: 'fetchBlock', hash: fromHex(missing), holders: [from] });
}

/** A finalization is held whose block is not: fetched by range from the final head on, again and again. */
export function fetchAwaited(s: State): void {
  const awaited = s.awaited;
  if (s.handOver) return fetchUpToBoundary(s);
  if (!awaited || s.now < awaited.fetchAgainAtMs) return;
  if (s.chain.pathFromHead(toHex(awaited.certificate.blockHash))) return; // R22: what is missing is the next set
  awaited.fetchAgainAtMs = s.now + s.pacemaker.retryMs;
  const holders = signersOf(awaited.certificate).filter((signer) => signer !== s.self);
  s.out.push({ type: 'fetchRange', fromHeight: s.chain.head.block.header.height + 1, holders });
}

/** R22: the epoch is over, and blocks of it are missing here. */
function fetchUpToBoundary(s: State): void {
  if (s.now < s.handOverAgainAtMs) return;
  s.handOverAgainAtMs = s.now + s.pacemaker.retryMs;
  const holders = signersOf(s.handOver!.certificate).filter((signer) => signer !== s.self);
  s.out.push({ type: 'fetchRange', fromHeight: s.chain.head.block.header.height + 1, holders });
}

/** `from` undefined: not of this epoch's set. */
export function onRangeFetched(
  s: State,
  from: ValidatorIndex | undefined,
  blocks: readonly Block[],
  answered: Certificate,
): void {
  const head = s.chain.head;
  const fresh = blocks.filter(({ header }) => header.height > head.block.header.height);
  if (fresh.length === 0 || blocks.length > MAX_BLOCKS_PER_RANGE) return;
  let parent: Uint8Array = fromHex(head.hash);
  for (const block of fresh) {
    if (!equalBytes(block.header.parentHash, parent) || !refsMatch(block)) {
      return s.misbehaved(
        from,
        `answered with a block of height ${block.header.height} that does not follow the final ones`,
      );
    }
    parent = blockHash(block.header);
  }
  s.handOverAgainAtMs = s.now; // there may be more to fetch
  if (isBoundaryOfHandOver(s, parent)) {
    for (const block of fresh) s.chain.add(block);
    return; // the epoch ends when this step goes on
  }
  if (answered.kind !== VoteKind.finalize || !equalBytes(answered.blockHash, parent)) {
    // Of a boundary block, what proves it may be its hand-over alone (R22).
    if (fresh.at(-1)!.header.height === s.lastHeight) return askForHandOver(s, from === undefined ? [] : [from]);
    return s.misbehaved(from, 'answered with blocks that its certificate does not finalize');
  }
  // The finalization that is held already is the one to keep: the answer's may name the same block and be forged.
  const isAwaited = s.awaited !== undefined && equalBytes(s.awaited.certificate.blockHash, parent);
  const certificate = isAwaited ? s.awaited!.certificate : answered;
  if (!isAwaited) {
    const fault = certificateFault(certificate, { ...s.config, quorum: s.quorum });
    if (fault) return s.misbehaved(from, `answered with a finalization that is ${fault}`);
    watchCertificate(s, certificate);
  }
  for (const block of fresh) s.chain.add(block);
  const target = s.awaited;
  s.awaited = { certificate, fetchAgainAtMs: s.now };
  finalizeAwaited(s);
  enterView(s, certificate.view + 1, certificate);
  if (fresh.at(-1)!.header.height === s.lastHeight) {
    // R22: over, or held back until the next set is known; the later finalization stays, or it would be taken in again.
    if (target && target.certificate.view > certificate.view) s.awaited = { ...target, fetchAgainAtMs: s.now };
    return;
  }
  // There may be more to fetch, up to the finalization that started it.
  if (target && target.certificate.view > s.finalView) s.awaited = { ...target, fetchAgainAtMs: s.now };
  else if (s.awaited?.certificate === certificate) s.awaited = undefined;
}
