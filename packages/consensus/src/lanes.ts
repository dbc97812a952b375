/**
 * Which batches are held, who acknowledged them, and which of them a block may or must have next (R1, R10, R11). A lane's
 * tip is the place after its last ordered batch; every block of the chain has its own tips.
 */

import {
  type Acknowledgement,
  type Bytes32,
  bundleEnds,
  equalBytes,
  type LaneSeq,
  MAX_BATCH_REFS_PER_BLOCK,
  MAX_BUNDLE_BATCHES,
  MAX_UNORDERED_BATCHES_PER_LANE,
  type BatchRef as Ref,
  type UnixMs,
  type ValidatorIndex,
  type ValidatorSet,
  type View,
  type Weight,
  ZERO_HASH,
} from '@squad/types';
import type { HeldBatch } from './api.ts';

export interface LaneTip {
  readonly nextSeq: LaneSeq;
  readonly lastDigest: Bytes32;
}

/**
 * Stands for the next seq of a lane whose last ordered batch is not known: that of a node which began at a trusted block. It
 * takes whatever a final block orders next; a validator never has it.
 */
export const UNKNOWN_SEQ: LaneSeq = Number.MAX_SAFE_INTEGER;

export function emptyTips(set: ValidatorSet): readonly LaneTip[] {
  return set.validators.map(() => ({ nextSeq: 0, lastDigest: ZERO_HASH }));
}

/** Batches per seq that are kept beside each other when an author equivocates (R5). */
export const MAX_BATCHES_PER_SEQ = 4;

interface Held extends HeldBatch {
  readonly heldSinceMs: UnixMs;
}

/** Lanes are walked from a place that moves with the view, so that no author is always first. */
function laneOrder(view: View, size: number): ValidatorIndex[] {
  return Array.from({ length: size }, (_, i) => (view + i) % size);
}

export type RefsVerdict =
  | { readonly verdict: 'ok'; readonly tips: readonly LaneTip[] }
  | { readonly verdict: 'missing'; readonly refs: readonly Ref[] }
  | { readonly verdict: 'invalid'; readonly reason: string };

export class Lanes {
  readonly #set: ValidatorSet;
  readonly #tolerated: Weight;
  /** Per author: seq → what is held there. */
  readonly #held: Map<LaneSeq, Held[]>[];
  /** Per author: per validator, the highest seq acknowledged. */
  readonly #acknowledged: Map<ValidatorIndex, LaneSeq>[];
  readonly #equivocators = new Set<ValidatorIndex>();
  /** Tips of the final head: nothing below is needed. */
  #finalTips: readonly LaneTip[];

  constructor(set: ValidatorSet, tolerated: Weight, finalTips: readonly LaneTip[]) {
    this.#set = set;
    this.#tolerated = tolerated;
    this.#held = set.validators.map(() => new Map());
    this.#acknowledged = set.validators.map(() => new Map());
    this.#finalTips = finalTips;
  }

  /** Of the lane with the most: places at which something is held. Of the place with the most: batches. */
  get most(): { readonly places: number; readonly batchesAtPlace: number } {
    let places = 0;
    let batchesAtPlace = 0;
    for (const lane of this.#held) {
      places = Math.max(places, lane.size);
      for (const there of lane.values()) batchesAtPlace = Math.max(batchesAtPlace, there.length);
    }
    return { places, batchesAtPlace };
  }

  store(batch: HeldBatch, nowMs: UnixMs): void {
    const { author, seq } = batch.ref;
    const tip = this.#finalTips[author];
    // A lane runs at most 64 ahead of what is ordered; twice that leaves room for what this node has not seen ordered yet.
    if (!tip || seq < tip.nextSeq || seq >= tip.nextSeq + 2 * MAX_UNORDERED_BATCHES_PER_LANE) return;
    const lane = this.#held[author]!;
    const there = lane.get(seq);
    if (!there) {
      lane.set(seq, [{ ...batch, heldSinceMs: nowMs }]);
    } else if (!there.some((held) => equalBytes(held.ref.digest, batch.ref.digest))) {
      this.#equivocators.add(author);
      // The first one seen stays; of the others the oldest gives way. Were a later one refused, an equivocator could fill
      // the place, and a branch that honest leaders must order could be held by nobody.
      if (there.length >= MAX_BATCHES_PER_SEQ) there.splice(1, 1);
      there.push({ ...batch, heldSinceMs: nowMs });
    }
  }

  acknowledge(from: ValidatorIndex, { author, seq, digest }: Acknowledgement): void {
    const byValidator = this.#acknowledged[author];
    if (!byValidator) return;
    const there = this.#held[author]!.get(seq);
    if (there && !there.some((held) => equalBytes(held.ref.digest, digest))) return; // of another branch of the lane
    if (seq > (byValidator.get(from) ?? -1)) byValidator.set(from, seq);
  }

  /** Drops what is ordered for good. */
  prune(finalTips: readonly LaneTip[]): void {
    finalTips.forEach(({ nextSeq }, author) => {
      const before = this.#finalTips[author]!.nextSeq;
      if (nextSeq === before) return;
      const lane = this.#held[author]!;
      for (const seq of lane.keys()) if (seq < nextSeq) lane.delete(seq);
    });
    this.#finalTips = finalTips;
  }

  /** R10: the refs that a block in `view` on a parent with these tips orders. Of each lane whole bundles only. */
  collect(view: View, tips: readonly LaneTip[], nowMs: UnixMs, delayMs: number): Ref[] {
    const size = this.#set.validators.length;
    const perLane = Math.min(MAX_UNORDERED_BATCHES_PER_LANE, Math.floor(MAX_BATCH_REFS_PER_BLOCK / size));
    const refs: Ref[] = [];
    for (const author of laneOrder(view, size)) {
      // In a large set a bundle may be longer than a lane's share of the block; then it stands there by itself.
      const run = this.#run(author, tips[author]!, Math.max(perLane, MAX_BUNDLE_BATCHES));
      let includable = run.length;
      while (includable > 0 && !this.#includable(run[includable - 1]!, nowMs, delayMs)) includable--;
      const most = Math.min(includable, MAX_BATCH_REFS_PER_BLOCK - refs.length);
      const ends = bundleEnds(run.map(({ ref }) => ref)).filter((end) => end <= most);
      const count = ends.findLast((end) => end <= perLane) ?? ends[0] ?? 0;
      for (const { ref } of run.slice(0, count)) refs.push(ref);
    }
    return refs;
  }

  /** When `collect` would find something on these tips: now, later as a batch grows old enough, or never as things are. */
  nextCollectableMs(tips: readonly LaneTip[], nowMs: UnixMs, delayMs: number): UnixMs | undefined {
    let soonest: UnixMs | undefined;
    for (let author = 0; author < tips.length; author++) {
      if (this.#held[author]!.size === 0) continue;
      const run = this.#run(author, tips[author]!, MAX_UNORDERED_BATCHES_PER_LANE);
      const [first] = bundleEnds(run.map(({ ref }) => ref));
      if (first === undefined) continue;
      for (const held of run.slice(first - 1)) {
        if (this.#includable(held, nowMs, delayMs)) return nowMs;
        if (this.#equivocators.has(author)) continue;
        soonest = Math.min(soonest ?? Number.POSITIVE_INFINITY, held.heldSinceMs + delayMs);
      }
    }
    return soonest;
  }

  /** Since when the oldest batch could be ordered that is not on these tips: since its bundle is held as a whole. */
  oldestUnorderedMs(tips: readonly LaneTip[]): UnixMs | undefined {
    let oldest: UnixMs | undefined;
    for (let author = 0; author < tips.length; author++) {
      // Asked at every step: in a large set most lanes are empty.
      if (this.#held[author]!.size === 0 || this.#equivocators.has(author)) continue;
      const sinceMs = this.#firstBundleHeldSinceMs(author, tips[author]!);
      if (sinceMs !== undefined) oldest = Math.min(oldest ?? sinceMs, sinceMs);
    }
    return oldest;
  }

  /** R11: whether refs are in order on these tips, none ordered before, each chained to its predecessor, and all held here. */
  judge(view: View, refs: readonly Ref[], tips: readonly LaneTip[]): RefsVerdict {
    const advanced = advanceTips(view, refs, tips);
    if (typeof advanced === 'string') return { verdict: 'invalid', reason: advanced };
    const last = new Map<ValidatorIndex, Bytes32>();
    const missing: Ref[] = [];
    for (const ref of refs) {
      const before = last.get(ref.author) ?? tips[ref.author]!.lastDigest;
      last.set(ref.author, ref.digest);
      const held = this.#held[ref.author]!.get(ref.seq)?.find((candidate) =>
        equalBytes(candidate.ref.digest, ref.digest),
      );
      if (!held) missing.push(ref);
      else if (!equalBytes(held.previousDigest, before)) {
        return {
          verdict: 'invalid',
          reason: `batch ${ref.seq} of lane ${ref.author} does not follow the one ordered before it`,
        };
      } else if (held.ref.rollupId !== ref.rollupId) {
        return {
          verdict: 'invalid',
          reason: `batch ${ref.seq} of lane ${ref.author} is of another rollup than its ref says`,
        };
      } else if (held.ref.joinsNext !== ref.joinsNext) {
        return {
          verdict: 'invalid',
          reason: `batch ${ref.seq} of lane ${ref.author} and its ref differ on whether the next one belongs with it`,
        };
      }
    }
    return missing.length > 0 ? { verdict: 'missing', refs: missing } : { verdict: 'ok', tips: advanced };
  }

  /** Since when the bundle after a tip, mostly of one batch, is held as a whole; undefined: it is not. */
  #firstBundleHeldSinceMs(author: ValidatorIndex, tip: LaneTip): UnixMs | undefined {
    let sinceMs = Number.NEGATIVE_INFINITY;
    let digest = tip.lastDigest;
    for (let i = 0; i < MAX_BUNDLE_BATCHES; i++) {
      const next = this.#after(author, tip.nextSeq + i, digest);
      if (!next) return undefined;
      sinceMs = Math.max(sinceMs, next.heldSinceMs);
      if (!next.ref.joinsNext) return sinceMs;
      digest = next.ref.digest;
    }
    return undefined;
  }

  /** The chained run of held batches after a tip. */
  #run(author: ValidatorIndex, tip: LaneTip, limit: number): Held[] {
    const run: Held[] = [];
    let digest = tip.lastDigest;
    for (let seq = tip.nextSeq; run.length < limit; seq++) {
      const next = this.#after(author, seq, digest);
      if (!next) break;
      run.push(next);
      digest = next.ref.digest;
    }
    return run;
  }

  /** What is held at a place of a lane and follows this batch. */
  #after(author: ValidatorIndex, seq: LaneSeq, digest: Bytes32): Held | undefined {
    const lane = this.#held[author]!;
    const next = lane.get(seq)?.find((held) => equalBytes(held.previousDigest, digest));
    return next;
  }

  /** More than F weight has it durably (its author counts), or it has been around longer than the network's delay. */
  #includable(held: Held, nowMs: UnixMs, delayMs: number): boolean {
    const { author, seq } = held.ref;
    if (!this.#equivocators.has(author) && nowMs - held.heldSinceMs >= delayMs) return true;
    let weight = this.#set.validators[author]!.weight;
    for (const [validator, acknowledged] of this.#acknowledged[author]!) {
      if (acknowledged >= seq && validator !== author) weight += this.#set.validators[validator]!.weight;
    }
    return weight > this.#tolerated;
  }
}

/** The tips after a block's refs, or what is wrong with them: lanes in the view's order, each contiguous from its tip. */
export function advanceTips(view: View, refs: readonly Ref[], tips: readonly LaneTip[]): readonly LaneTip[] | string {
  if (refs.length === 0) return tips;
  const size = tips.length;
  const advanced = [...tips];
  let place = -1;
  for (const { author, seq, digest } of refs) {
    if (author >= size) return `a ref names validator ${author} of a set of ${size}`;
    const thisPlace = (author - (view % size) + size) % size;
    if (thisPlace < place) return `lane ${author} is out of order`;
    place = thisPlace;
    const { nextSeq } = advanced[author]!;
    if (seq !== nextSeq && nextSeq !== UNKNOWN_SEQ) return `lane ${author} goes on with ${seq}, not with ${nextSeq}`;
    advanced[author] = { nextSeq: seq + 1, lastDigest: digest };
  }
  return advanced;
}
