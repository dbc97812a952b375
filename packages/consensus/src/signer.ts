/**
 * What a validator may sign (R16). Nothing else in the node signs votes. The record is exact: every vote is written to it,
 * made durable and only then sent, so what it holds after a crash is all that was ever visible outside.
 *
 *   never  two NOTARIZE or two FINALIZE hashes in one view
 *   never  NULLIFY and FINALIZE in one view, in either order
 *   never  NOTARIZE after NULLIFY in one view
 *   never  NOTARIZE or FINALIZE in a view at or below the highest one voted in before a restart
 *
 * NULLIFY after a restart stays open for the highest view voted in, unless it was finalized: else a set that crashes with
 * a split vote in one view could never leave it. It is safe because the record is exact.
 */

import type { VoteScheme } from '@squad/crypto';
import {
  type Bytes32,
  type Epoch,
  equalBytes,
  type ValidatorIndex,
  type View,
  type Vote,
  VoteKind,
  voteSigningRoot,
  ZERO_HASH,
} from '@squad/types';

interface ViewRecord {
  notarize: Vote | undefined;
  nullify: Vote | undefined;
  finalize: Vote | undefined;
}

export class Signer {
  readonly #networkId: Bytes32;
  readonly #epoch: Epoch;
  readonly #self: ValidatorIndex | undefined;
  readonly #scheme: VoteScheme;
  readonly #views = new Map<View, ViewRecord>();
  /** Highest view that was voted in before this process started: closed, but for its NULLIFY. */
  #restartView: View = 0;
  /** Views at or below are final: nothing is signed there. */
  #closedView: View = 0;
  #highestView: View = 0;

  constructor(networkId: Bytes32, epoch: Epoch, self: ValidatorIndex | undefined, scheme: VoteScheme) {
    this.#networkId = networkId;
    this.#epoch = epoch;
    this.#self = self;
    this.#scheme = scheme;
  }

  /** Takes in a vote that was recorded before a restart. */
  remember(vote: Vote): void {
    this.#record(vote);
    this.#restartView = this.#highestView;
  }

  /** The vote, to be persisted before it is sent; undefined if the rules forbid it or it was already cast. */
  notarize(view: View, hash: Bytes32): Vote | undefined {
    const record = this.#views.get(view);
    if (record?.notarize || record?.nullify || view <= this.#floor) return undefined;
    return this.#sign(VoteKind.notarize, view, hash);
  }

  nullify(view: View): Vote | undefined {
    const record = this.#views.get(view);
    if (record?.nullify || record?.finalize || view < this.#restartView || view <= this.#closedView) return undefined;
    return this.#sign(VoteKind.nullify, view, ZERO_HASH);
  }

  finalize(view: View, hash: Bytes32): Vote | undefined {
    const record = this.#views.get(view);
    if (record?.finalize || record?.nullify || view <= this.#floor) return undefined;
    if (record?.notarize && !equalBytes(record.notarize.blockHash, hash)) return undefined;
    return this.#sign(VoteKind.finalize, view, hash);
  }

  /** What was voted in a view, to be sent again. */
  votesIn(view: View): Vote[] {
    const record = this.#views.get(view);
    if (!record) return [];
    const { notarize, nullify, finalize } = record;
    return [notarize, nullify, finalize].filter((vote) => vote !== undefined);
  }

  hasNullified(view: View): boolean {
    return this.#views.get(view)?.nullify !== undefined;
  }

  /** All votes that a checkpoint must keep: those above a view, and those of the highest view voted in. */
  votesAbove(view: View): Vote[] {
    return [...this.#views.keys()]
      .filter((voted) => voted > view || voted === this.#highestView)
      .sort((a, b) => a - b)
      .flatMap((voted) => this.votesIn(voted));
  }

  /** Forgets views at or below a final one, in which this node votes no more; the highest view voted in is kept. */
  prune(view: View): void {
    for (const voted of this.#views.keys()) {
      if (voted <= view && voted !== this.#highestView) this.#views.delete(voted);
    }
    // Views whose record is gone stay closed.
    this.#closedView = Math.max(this.#closedView, view);
  }

  get #floor(): View {
    return Math.max(this.#restartView, this.#closedView);
  }

  #sign(kind: VoteKind, view: View, blockHash: Bytes32): Vote | undefined {
    if (this.#self === undefined) return undefined;
    const content = { kind, epoch: this.#epoch, view, blockHash };
    const signature = this.#scheme.sign(voteSigningRoot(this.#networkId, content));
    const vote: Vote = { ...content, signer: this.#self, signature };
    this.#record(vote);
    return vote;
  }

  #record(vote: Vote): void {
    let record = this.#views.get(vote.view);
    if (!record) {
      record = { notarize: undefined, nullify: undefined, finalize: undefined };
      this.#views.set(vote.view, record);
    }
    if (vote.kind === VoteKind.notarize) record.notarize = vote;
    else if (vote.kind === VoteKind.nullify) record.nullify = vote;
    else record.finalize = vote;
    this.#highestView = Math.max(this.#highestView, vote.view);
  }
}
