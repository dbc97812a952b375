/**
 * The blocks above the final head, as a tree, each with the lane tips that follow it. A block is in the tree only if its
 * parent is; one whose parent is not known waits among the orphans.
 */

import {
  BatchRefs,
  type Block,
  type BlockHash,
  blockHashHex,
  type Certificate,
  equalBytes,
  toHex,
  type View,
} from '@squad/types';
import { advanceTips, type LaneTip } from './lanes.ts';

/** Blocks that wait for their parent, and blocks above the final head. What is dropped is fetched again when needed. */
export const MAX_ORPHAN_BLOCKS = 256;
export const MAX_TREE_BLOCKS = 8192;

export interface ChainBlock {
  readonly hash: BlockHash;
  readonly block: Block;
  /** The view that it stands in; 0 for the block that the epoch starts after, whatever its header says (R22). */
  readonly view: View;
  /** Lane tips after this block. */
  readonly tips: readonly LaneTip[];
  /** Whether a record of it was put out. */
  persisted: boolean;
  /** Whether it was announced as soft. */
  announced: boolean;
}

export class Chain {
  #head: ChainBlock;
  /** Finalizes `head`. */
  #finalization: Certificate;
  readonly #blocks = new Map<BlockHash, ChainBlock>();
  readonly #orphans = new Map<BlockHash, Block>();

  constructor(head: Block, view: View, tips: readonly LaneTip[], finalization: Certificate) {
    this.#head = { hash: blockHashHex(head.header), block: head, view, tips, persisted: true, announced: true };
    this.#finalization = finalization;
    this.#blocks.set(this.#head.hash, this.#head);
  }

  /** The last final block. */
  get head(): ChainBlock {
    return this.#head;
  }

  get finalization(): Certificate {
    return this.#finalization;
  }

  /** Blocks of the tree, the final head included. */
  get size(): number {
    return this.#blocks.size;
  }

  get orphans(): number {
    return this.#orphans.size;
  }

  get(hash: BlockHash): ChainBlock | undefined {
    return this.#blocks.get(hash);
  }

  /**
   * Adds a block, and orphans that it connects. Answers with the blocks that joined the tree, parents first; nothing if
   * the block is known, too low, waits for its parent, or does not fit its parent (a quorum would not have certified it).
   */
  add(block: Block): ChainBlock[] {
    const hash = blockHashHex(block.header);
    if (this.#blocks.has(hash) || block.header.height <= this.#head.block.header.height) return [];
    const added = this.#attach(hash, block);
    if (added === undefined) {
      if (this.#orphans.size >= MAX_ORPHAN_BLOCKS) this.#orphans.delete(this.#orphans.keys().next().value!);
      this.#orphans.set(hash, block);
      return [];
    }
    if (added === false) return [];
    const joined = [added];
    for (let i = 0; i < joined.length; i++) {
      for (const [orphanHash, orphan] of this.#orphans) {
        if (toHex(orphan.header.parentHash) !== joined[i]!.hash) continue;
        this.#orphans.delete(orphanHash);
        const child = this.#attach(orphanHash, orphan);
        if (child) joined.push(child);
      }
    }
    return joined;
  }

  /** The nearest unknown ancestor of an orphan: what to fetch for it. Undefined if it is no orphan. */
  missingAncestor(hash: BlockHash): BlockHash | undefined {
    let orphan = this.#orphans.get(hash);
    if (!orphan) return undefined;
    for (;;) {
      const parent: BlockHash = toHex(orphan.header.parentHash);
      const next = this.#orphans.get(parent);
      if (!next) return parent; // never in the tree: it would have taken the orphan with it
      orphan = next;
    }
  }

  /** The path from the final head (exclusive) to a block of the tree (inclusive); undefined if it does not descend from it. */
  pathFromHead(hash: BlockHash): ChainBlock[] | undefined {
    const path: ChainBlock[] = [];
    for (let at = this.#blocks.get(hash); at; at = this.#blocks.get(toHex(at.block.header.parentHash))) {
      if (at === this.#head) return path.reverse();
      path.push(at);
    }
    return undefined;
  }

  /** Makes a block of the tree the final head and drops every block that does not descend from it. */
  finalize(hash: BlockHash, certificate: Certificate): ChainBlock[] {
    const path = this.pathFromHead(hash);
    if (!path || path.length === 0) return [];
    this.#head = path.at(-1)!;
    this.#finalization = certificate;
    const { height } = this.#head.block.header;
    const survivors = new Set<BlockHash>([hash]);
    const ascending = [...this.#blocks.values()]
      .filter(({ block }) => block.header.height > height)
      .sort((a, b) => a.block.header.height - b.block.header.height);
    for (const { hash: candidate, block } of ascending) {
      if (survivors.has(toHex(block.header.parentHash))) survivors.add(candidate);
    }
    for (const known of this.#blocks.keys()) if (!survivors.has(known)) this.#blocks.delete(known);
    for (const [orphanHash, orphan] of this.#orphans) {
      if (orphan.header.height <= height) this.#orphans.delete(orphanHash);
    }
    return path;
  }

  /** All blocks above the final head, parents first. */
  above(): ChainBlock[] {
    return [...this.#blocks.values()]
      .filter((block) => block !== this.#head)
      .sort((a, b) => a.block.header.height - b.block.header.height);
  }

  /** The block in the tree; undefined: its parent is unknown; false: it does not fit its parent. */
  #attach(hash: BlockHash, block: Block): ChainBlock | undefined | false {
    const parent = this.#blocks.get(toHex(block.header.parentHash));
    if (!parent) return undefined;
    if (this.#blocks.size >= MAX_TREE_BLOCKS) return false;
    const { header } = block;
    if (header.height !== parent.block.header.height + 1 || header.parentView !== parent.view) return false;
    const tips = advanceTips(header.view, block.refs, parent.tips);
    if (typeof tips === 'string') return false;
    const added: ChainBlock = { hash, block, view: header.view, tips, persisted: false, announced: false };
    this.#blocks.set(hash, added);
    return added;
  }
}

/** Whether a block's refs are those that its header commits to. */
export function refsMatch(block: Block): boolean {
  return equalBytes(BatchRefs.hashTreeRoot(block.refs), block.header.refsRoot);
}
