/**
 * All lanes as this node holds them (R1, R3, R5): which batches came, up to where each lane is held without a gap, and so
 * what is acknowledged; and what the others have acknowledged of the own lane, and so what they still need.
 */

import type { HeldBatch } from '@squad/consensus';
import {
  type Acknowledgement,
  type BatchHeader,
  type Bytes32,
  equalBytes,
  type LaneSeq,
  MAX_UNORDERED_BATCHES_PER_LANE,
  type SignedBatchHeader,
  type ValidatorIndex,
  ZERO_HASH,
} from '@squad/types';

interface LaneState {
  /** Held and not final, by seq: the first one seen of each. */
  readonly batches: Map<LaneSeq, SignedBatchHeader & { readonly digest: Bytes32 }>;
  /** The end of the run that is held without a gap. */
  next: LaneSeq;
  last: Bytes32;
}

export type BatchStanding =
  | 'new'
  | 'known'
  /** Ordered for good already, or beyond what a lane may have unordered. */
  | 'outside'
  /** Another batch with this author and seq was seen first (E5). */
  | 'equivocation';

export class HeldLanes {
  readonly #lanes: LaneState[];
  #finalTips: { nextSeq: LaneSeq; lastDigest: Bytes32 }[];
  /** Per validator, the next seq of the own lane that it has not acknowledged. */
  readonly #ownAcknowledged = new Map<ValidatorIndex, LaneSeq>();

  constructor(size: number) {
    this.#lanes = Array.from({ length: size }, () => ({ batches: new Map(), next: 0, last: ZERO_HASH }));
    this.#finalTips = Array.from({ length: size }, () => ({ nextSeq: 0, lastDigest: ZERO_HASH }));
  }

  /** Of each lane, how many are held and not final. */
  get held(): number[] {
    return this.#lanes.map(({ batches }) => batches.size);
  }

  standing({ author, seq }: BatchHeader, digest: Bytes32): BatchStanding {
    const tip = this.#finalTips[author];
    if (!tip || seq < tip.nextSeq || seq >= tip.nextSeq + 2 * MAX_UNORDERED_BATCHES_PER_LANE) return 'outside';
    const first = this.#lanes[author]!.batches.get(seq);
    if (!first) return 'new';
    return equalBytes(first.digest, digest) ? 'known' : 'equivocation';
  }

  /** The first batch seen at a place: one half of the evidence of an equivocation. */
  firstAt(author: ValidatorIndex, seq: LaneSeq): SignedBatchHeader | undefined {
    return this.#lanes[author]?.batches.get(seq);
  }

  /** Takes in a batch of standing `new`; true if the acknowledged end of its lane moved. */
  add(signed: SignedBatchHeader, digest: Bytes32): boolean {
    const lane = this.#lanes[signed.header.author]!;
    lane.batches.set(signed.header.seq, { ...signed, digest });
    return advance(lane);
  }

  /** What is held of each lane: what this node acknowledges. Lanes of which it never held anything are left out. */
  acknowledgements(authors: Iterable<ValidatorIndex>): Acknowledgement[] {
    const acknowledgements: Acknowledgement[] = [];
    for (const author of authors) {
      const { next, last } = this.#lanes[author]!;
      if (next > 0) acknowledgements.push({ author, seq: next - 1, digest: last });
    }
    return acknowledgements;
  }

  /** A peer's word on the own lane; true if it says something new. */
  acknowledged(from: ValidatorIndex, own: ValidatorIndex, acknowledgements: readonly Acknowledgement[]): boolean {
    const before = this.#ownAcknowledged.get(from) ?? 0;
    const next = acknowledgements.reduce(
      (most, { author, seq }) => (author === own ? Math.max(most, seq + 1) : most),
      before,
    );
    this.#ownAcknowledged.set(from, next);
    return next > before;
  }

  /** The next seq of the own lane that a peer has not acknowledged. */
  ownAcknowledgedBy(peer: ValidatorIndex): LaneSeq {
    return this.#ownAcknowledged.get(peer) ?? 0;
  }

  /** A peer that connects anew may have lost what it had not made durable. */
  forgetAcknowledged(peer: ValidatorIndex): void {
    this.#ownAcknowledged.delete(peer);
  }

  /** Digests of own unordered batches that a peer has not acknowledged, oldest first. */
  unacknowledgedBy(peer: ValidatorIndex, own: ValidatorIndex, limit: number): Bytes32[] {
    const { batches } = this.#lanes[own]!;
    const digests: Bytes32[] = [];
    const from = Math.max(this.#ownAcknowledged.get(peer) ?? 0, this.#finalTips[own]!.nextSeq);
    for (let seq = from; digests.length < limit; seq++) {
      const batch = batches.get(seq);
      if (!batch) break;
      digests.push(batch.digest);
    }
    return digests;
  }

  /** All that is held and not final, for a checkpoint; by author and seq. */
  unordered(): SignedBatchHeader[] {
    return this.#lanes.flatMap(({ batches }) =>
      [...batches.entries()].sort(([a], [b]) => a - b).map(([, { header, signature }]) => ({ header, signature })),
    );
  }

  /** Where a lane goes on after everything that is held of it. */
  head(author: ValidatorIndex): { nextSeq: LaneSeq; lastDigest: Bytes32; unordered: number } {
    const { next, last } = this.#lanes[author]!;
    return { nextSeq: next, lastDigest: last, unordered: next - this.#finalTips[author]!.nextSeq };
  }

  /** Blocks became final: their refs, in order, move the lanes' final tips. */
  finalize(refs: readonly HeldBatch['ref'][]): void {
    for (const { author, seq, digest } of refs) this.setFinalTip(author, seq + 1, digest);
  }

  setFinalTip(author: ValidatorIndex, nextSeq: LaneSeq, lastDigest: Bytes32): void {
    const lane = this.#lanes[author]!;
    const before = this.#finalTips[author]!.nextSeq;
    if (nextSeq < before) return;
    // The order decides between an equivocator's batches: what follows must chain to the ordered one.
    const held = lane.batches.get(nextSeq - 1);
    const otherBranch = held !== undefined && !equalBytes(held.digest, lastDigest);
    for (const seq of lane.batches.keys()) if (seq < nextSeq || otherBranch) lane.batches.delete(seq);
    this.#finalTips[author] = { nextSeq, lastDigest };
    if (lane.next <= nextSeq || otherBranch) {
      lane.next = nextSeq;
      lane.last = lastDigest;
      advance(lane);
    }
  }
}

function advance(lane: LaneState): boolean {
  const before = lane.next;
  for (;;) {
    const next = lane.batches.get(lane.next);
    if (!next || !equalBytes(next.header.previousDigest, lane.last)) return lane.next !== before;
    lane.next++;
    lane.last = next.digest;
  }
}
