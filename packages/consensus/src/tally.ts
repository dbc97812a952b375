/**
 * Votes on their way to certificates (section 5 of the protocol). At most one vote per signer and kind in a view is kept,
 * unverified; at quorum weight they are summed and verified once. Only if that fails are they bisected, and whoever signed
 * badly is evicted and named. A sum that verifies is a valid certificate whatever its parts, so no random weights are
 * needed.
 */

import type { VoteScheme } from '@squad/crypto';
import {
  type Bytes32,
  type Certificate,
  equalBytes,
  signerBits,
  type ValidatorIndex,
  type ValidatorSet,
  type View,
  type Vote,
  type VoteKind,
  voteSigningRoot,
  type Weight,
} from '@squad/types';

/** Views below the current one whose votes are still collected; what is older is recovered through certificates. */
export const VOTE_WINDOW_VIEWS = 64;

type Slot = (Vote | undefined)[];

export interface AddedVote {
  readonly certificate?: Certificate;
  /** Signers whose signatures are not valid. */
  readonly forgers: readonly ValidatorIndex[];
}

export class Tally {
  readonly #networkId: Bytes32;
  readonly #set: ValidatorSet;
  readonly #quorum: Weight;
  readonly #scheme: VoteScheme;
  readonly #views = new Map<View, Record<VoteKind, Slot>>();

  constructor(networkId: Bytes32, set: ValidatorSet, quorum: Weight, scheme: VoteScheme) {
    this.#networkId = networkId;
    this.#set = set;
    this.#quorum = quorum;
    this.#scheme = scheme;
  }

  /** Views with votes. */
  get views(): number {
    return this.#views.size;
  }

  /** Keeps a vote and says what it led to. The caller has checked epoch, view window and that the signer sent it. */
  add(vote: Vote): AddedVote {
    const slot = this.#at(vote.view)[vote.kind];
    // A second one counts for nothing; the watch compares it with the first.
    if (slot[vote.signer] !== undefined) return { forgers: [] };
    slot[vote.signer] = vote;
    return this.#certify(slot, vote);
  }

  /** Forgets the votes of views below a bound. */
  pruneBelow(view: View): void {
    for (const held of this.#views.keys()) if (held < view) this.#views.delete(held);
  }

  #at(view: View): Record<VoteKind, Slot> {
    let votes = this.#views.get(view);
    if (!votes) {
      votes = { 1: [], 2: [], 3: [] };
      this.#views.set(view, votes);
    }
    return votes;
  }

  /** The certificate, if the votes for the same content as `vote` weigh a quorum and their sum is valid. */
  #certify(slot: Slot, vote: Vote): AddedVote {
    const same: Vote[] = [];
    let weight = 0;
    for (const other of slot) {
      if (other === undefined || !equalBytes(other.blockHash, vote.blockHash)) continue;
      same.push(other);
      weight += this.#set.validators[other.signer]!.weight;
    }
    if (weight < this.#quorum) return { forgers: [] };
    const root = voteSigningRoot(this.#networkId, vote);
    const signature = this.#sum(same, root);
    if (signature === undefined) {
      const forgers = this.#bisect(same, root);
      for (const forger of forgers) slot[forger] = undefined;
      // What is left may still weigh a quorum.
      const honest = same.find(({ signer }) => !forgers.includes(signer));
      const rest = honest ? this.#certify(slot, honest) : { forgers: [] };
      return { ...rest, forgers };
    }
    const { kind, epoch, view, blockHash } = vote;
    const signers = signerBits(
      this.#set.validators.length,
      same.map(({ signer }) => signer),
    );
    return { certificate: { kind, epoch, view, blockHash, signers, signature }, forgers: [] };
  }

  #sum(votes: readonly Vote[], root: Bytes32): Uint8Array | undefined {
    const signature = this.#scheme.aggregate(votes.map((vote) => vote.signature));
    if (signature === undefined) return undefined;
    return this.#scheme.verify(
      votes.map((vote) => vote.signer),
      root,
      signature,
    )
      ? signature
      : undefined;
  }

  /** Given that the sum of these does not verify: who signed badly. */
  #bisect(votes: readonly Vote[], root: Bytes32): ValidatorIndex[] {
    if (votes.length === 1) return [votes[0]!.signer];
    const middle = votes.length >> 1;
    return [votes.slice(0, middle), votes.slice(middle)].flatMap((half) =>
      this.#sum(half, root) === undefined ? this.#bisect(half, root) : [],
    );
  }
}
