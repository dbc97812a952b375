/** R24: the anchor of a block, and what may follow its parent's. */

import {
  type Block,
  type BlockHeader,
  equalBytes,
  type Height,
  type L1BlockId,
  MAX_L1_ANCHOR_ADVANCE_BLOCKS,
  NO_L1_ANCHOR,
  toHex,
  ZERO_HASH,
} from '@squad/types';
import type { ChainBlock } from './chain.ts';
import type { State } from './state.ts';

export function anchorOf({ l1AnchorNumber: number, l1AnchorHash: hash }: BlockHeader): L1BlockId {
  return { number, hash };
}

/** What a child starts from: genesis has no anchor, and stands for the genesis file's. */
export function anchorAfter(s: State, { header }: Block): L1BlockId {
  return header.height === 0 ? (s.config.l1Anchor ?? NO_L1_ANCHOR) : anchorOf(header);
}

/** What is wrong with an anchor whatever the L1 is; undefined if nothing is. */
export function anchorFaultOf(s: State, header: BlockHeader, parent: Block): string | undefined {
  const before = anchorAfter(s, parent);
  const { number, hash } = anchorOf(header);
  if (number === before.number) {
    return equalBytes(hash, before.hash) ? undefined : 'its L1 anchor has another hash than its parent’s';
  }
  if (equalBytes(before.hash, ZERO_HASH)) return 'it has an L1 anchor, and this network follows no L1';
  if (number < before.number) return `its L1 anchor goes back from ${before.number} to ${number}`;
  if (number > before.number + MAX_L1_ANCHOR_ADVANCE_BLOCKS) {
    return `its L1 anchor goes from ${before.number} to ${number}, by more than ${MAX_L1_ANCHOR_ADVANCE_BLOCKS}`;
  }
  if (header.parentView !== header.view - 1) return 'its L1 anchor advances after a view that was lost';
  if (header.height > s.lastHeight) return 'its L1 anchor advances after the end of its epoch';
  return undefined;
}

/** The anchor of an own block. A lost view before it may have been lost for its anchor: the next block does without. */
export function nextAnchor(s: State, { block, view }: ChainBlock, height: Height): L1BlockId {
  const before = anchorAfter(s, block);
  if (view !== s.view - 1 || height > s.lastHeight) return before;
  return s.l1.after(before, s.now, s.config.options.anchorDelayMs);
}

/** Whether the block that was proposed in the present view advances the anchor, as far as its parent is known. */
export function advancesAnchor(s: State): boolean {
  const { own, proposal } = s.round;
  const header = (own ?? proposal?.proposal)?.block.header;
  const parent = header && s.chain.get(toHex(header.parentHash));
  return parent !== undefined && header!.l1AnchorNumber !== anchorAfter(s, parent.block).number;
}
