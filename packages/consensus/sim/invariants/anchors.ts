/** R24, as far as it can be seen from outside: what an honest vote for an anchor stands for, and what lost views cost. */

import { type Block, type Certificate, equalBytes, type L1BlockId, type View, VoteKind } from '@squad/types';
import { type InvariantContext, InvariantViolation, type ObservedNode } from './api.ts';
import type { SeenBlocks } from './seen-blocks.ts';

const MAX_ADVANCE = 16;
const LEAST_PAUSE_MS = 5_000;
const NONE: L1BlockId = { number: 0, hash: new Uint8Array(32) };

export class AnchorRules {
  readonly #context: InvariantContext;
  readonly #seen: SeenBlocks;
  /** By place: the view of its last proposal since it started that advances the anchor. */
  readonly #proposed = new Map<number, View>();
  /** By place: since when it may not advance the anchor, as its own block that did was lost in this view. */
  readonly #lost = new Map<number, { readonly view: View; readonly atMs: number }>();

  constructor(context: InvariantContext, seen: SeenBlocks) {
    this.#context = context;
    this.#seen = seen;
  }

  #anchorOf({ header }: Block): L1BlockId {
    if (header.height === 0) return this.#context.l1?.anchor ?? NONE;
    return { number: header.l1AnchorNumber, hash: header.l1AnchorHash };
  }

  /** By how much; a block whose parent nobody proposed is not looked at here. */
  #advanceOf(block: Block): number {
    const parent = this.#seen.parentOf(block);
    return parent ? block.header.l1AnchorNumber - this.#anchorOf(parent).number : 0;
  }

  /** R11: a block that an honest node notarized. */
  checkNotarized(node: ObservedNode, block: Block): void {
    const parent = this.#seen.parentOf(block);
    if (!parent) return;
    const [before, anchor] = [this.#anchorOf(parent), this.#anchorOf(block)];
    const { l1, isByzantine } = this.#context;
    const fail = (what: string): never => {
      throw new InvariantViolation('anchor', `${node.name} notarized height ${block.header.height}: ${what}`);
    };
    if (anchor.number === before.number) {
      if (!equalBytes(anchor.hash, before.hash)) fail('another anchor of the same number');
      return;
    }
    if (!l1) return fail('an anchor in a network without an L1');
    if (anchor.number < before.number) fail(`the anchor goes back from ${before.number} to ${anchor.number}`);
    if (anchor.number > before.number + MAX_ADVANCE) fail(`the anchor advances by ${anchor.number - before.number}`);
    const { view, parentView, height } = block.header;
    if (parentView !== view - 1) fail('the anchor advances after a lost view');
    const { epoch } = this.#context;
    if (epoch && height > epoch.lastHeight) fail('the anchor advances in the epilogue');
    if (isByzantine(node.index)) return;
    if (!l1.hasSeen(node.place, anchor)) fail(`it has not seen L1 block ${anchor.number} confirmed`);
    if (!l1.leadsTo(before, anchor)) fail(`L1 block ${anchor.number} does not descend from the anchor before it`);
    this.#context.count('an advance notarized');
  }

  /** A block that became final: more than F honest weight has seen its anchor, however few the L1 endpoints are that work. */
  checkFinal(who: string, block: Block, tolerated: number): void {
    const { l1, weights, nodes, isByzantine, isOverloaded } = this.#context;
    if (isOverloaded || this.#advanceOf(block) === 0) return;
    const anchor = this.#anchorOf(block);
    let weight = 0;
    for (const node of nodes()) {
      if (!isByzantine(node.index) && l1?.hasSeen(node.place, anchor)) weight += weights[node.index] ?? 0;
    }
    this.#context.count('the anchor advanced');
    if (weight > tolerated) return;
    const what = `${who}: honest weight ${weight} has seen anchor ${anchor.number} of height ${block.header.height}`;
    throw new InvariantViolation('anchor', what);
  }

  onStarted({ place }: ObservedNode): void {
    this.#lost.delete(place);
    this.#proposed.delete(place);
  }

  /** A node takes in a certificate while it is in `view`. */
  onTaken({ place }: ObservedNode, certificate: Certificate, view: View): void {
    if (certificate.view !== view || !this.#context.l1) return;
    const blocks = this.#seen.inView(view).filter((block) => this.#advanceOf(block) !== 0);
    if (certificate.kind === VoteKind.notarize) {
      if (blocks.some((block) => this.#seen.hasHash(block, certificate.blockHash))) this.#lost.delete(place);
    } else if (certificate.kind === VoteKind.nullify && this.#proposed.get(place) === view) {
      this.#lost.set(place, { view, atMs: this.#context.nowMs() });
      this.#context.count('a view lost with its advance');
    }
  }

  /** R24: who has lost an advance of its own makes no other one at once. */
  onProposed({ name, place }: ObservedNode, block: Block): void {
    if (this.#advanceOf(block) === 0) return;
    this.#proposed.set(place, block.header.view);
    const lost = this.#lost.get(place);
    if (!lost || block.header.view <= lost.view) return;
    const sinceMs = this.#context.nowMs() - lost.atMs;
    if (sinceMs < LEAST_PAUSE_MS) {
      throw new InvariantViolation('anchors pause', `${name} advances the anchor ${sinceMs} ms after it lost one`);
    }
  }
}
