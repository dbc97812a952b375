/** Every block that was proposed or recorded in an epoch, by anyone: what a vote for one stands for is judged by these. */

import { type Block, blockHash, type Proposal, type ValidatorIndex, type View } from '@squad/types';
import { hexOf } from '../memo.ts';
import { InvariantViolation } from './api.ts';

export class SeenBlocks {
  /** What the epoch's first block is built on, in its view 0. */
  readonly root: { readonly hash: string; readonly block: Block };
  readonly #blocks = new Map<string, Block>();
  readonly #proposals = new Map<string, Proposal>();
  readonly #hashesOfView = new Map<View, string[]>();
  readonly #hashes = new WeakMap<object, string>();

  constructor(root: Block) {
    this.root = { hash: this.hashOf(root), block: root };
  }

  hashOf(block: Block): string {
    let hash = this.#hashes.get(block.header);
    if (hash === undefined) {
      hash = hexOf(blockHash(block.header));
      this.#hashes.set(block.header, hash);
    }
    return hash;
  }

  propose(proposal: Proposal): void {
    this.#proposals.set(this.hashOf(proposal.block), proposal);
    this.add(proposal.block);
  }

  /** Proposed or recorded: the proposal of a lone validator is never sent, and survives a crash. */
  add(block: Block): void {
    const hash = this.hashOf(block);
    if (this.#blocks.has(hash)) return;
    this.#blocks.set(hash, block);
    const { view } = block.header;
    const there = this.#hashesOfView.get(view);
    if (there) there.push(hash);
    else this.#hashesOfView.set(view, [hash]);
  }

  proposal(hash: string): Proposal | undefined {
    return this.#proposals.get(hash);
  }

  get(hash: string): Block | undefined {
    return hash === this.root.hash ? this.root.block : this.#blocks.get(hash);
  }

  parentOf({ header }: Block): Block | undefined {
    return this.get(hexOf(header.parentHash));
  }

  hasHash(block: Block, hash: Uint8Array): boolean {
    return this.hashOf(block) === hexOf(hash);
  }

  inView(view: View): readonly Block[] {
    return (this.#hashesOfView.get(view) ?? []).map((hash) => this.#blocks.get(hash)!);
  }

  viewOf(block: Block): View {
    return block === this.root.block ? 0 : block.header.view;
  }

  /** Height, time and lanes against the parent, which was proposed or is genesis. */
  checkOnParent(who: string, block: Block, size: number): void {
    const { header, refs } = block;
    const parent = this.get(hexOf(header.parentHash));
    if (!parent) return fail('known block', `${who} built on a block that nobody proposed`);
    if (header.height !== parent.header.height + 1 || header.parentView !== this.viewOf(parent)) {
      fail('height', `${who}: height ${header.height} on a parent of height ${parent.header.height}`);
    }
    if (header.timestampMs < parent.header.timestampMs) fail('timestamp', `${who}: earlier than the parent`);
    const next = new Map<ValidatorIndex, number>();
    let place = -1;
    for (const { author, seq } of refs) {
      const expected = next.get(author) ?? this.nextSeqAfter(parent, author);
      if (seq !== expected) fail('lane order', `${who}: lane ${author} goes on at ${seq}, not at ${expected}`);
      next.set(author, seq + 1);
      const turn = (author - (header.view % size) + size) % size;
      if (turn < place) fail('lane order', `${who}: in view ${header.view} lane ${author} comes too late`);
      place = turn;
    }
  }

  /** Where a lane goes on after a block. */
  nextSeqAfter(block: Block, author: ValidatorIndex): number {
    for (let at: Block | undefined = block; at; ) {
      if (at === this.root.block) return 0;
      const last: { seq: number } | undefined = at.refs.findLast((ref) => ref.author === author);
      if (last) return last.seq + 1;
      at = this.get(hexOf(at.header.parentHash));
    }
    return fail('known block', 'an ancestor was never proposed');
  }
}

function fail(invariant: string, message: string): never {
  throw new InvariantViolation(invariant, message);
}
