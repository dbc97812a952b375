/**
 * The watch for evidence (section 4): compares every vote, certificate and proposal of the last views with what was seen
 * before. Comparing costs nothing; signatures are looked at only where two things exclude each other, and what is put out
 * always verifies. Votes are held unverified, as in the tally, so a vote becomes a statement only once it is verified by
 * itself: a forged one convicts nobody, not even its sender.
 */

import { conflictOf, type VoteScheme } from '@squad/crypto';
import {
  type BlockHeader,
  type Bytes32,
  blockHash,
  type Certificate,
  type Evidence,
  type EvidenceKind,
  equalBytes,
  openSkips,
  type SkipOpening,
  type Statement,
  signersOf,
  statementOf,
  type ValidatorIndex,
  type ValidatorSet,
  type View,
  type Vote,
  VoteKind,
  voteSigningRoot,
} from '@squad/types';

/** Badly signed votes of one signer in one view that are looked into; further conflicts of that view are left alone. */
export const MAX_FORGED_VOTES_LOOKED_INTO = 4;
/** Certificates of one kind and view that are held: two exclude each other, and convict all that a third would. */
const MAX_CERTIFICATES_PER_KIND = 2;

const KINDS: readonly VoteKind[] = [VoteKind.notarize, VoteKind.nullify, VoteKind.finalize];

interface SeenView {
  /** The first vote of each kind and signer, unverified. */
  readonly votes: Record<VoteKind, (Vote | undefined)[]>;
  /** Verified. */
  readonly certificates: Record<VoteKind, Certificate[]>;
  readonly forged: Map<ValidatorIndex, number>;
  /** A proposed header whose skips root opens to what it must not (E4). */
  wrongSkip?: { readonly hash: Bytes32; readonly header: BlockHeader; readonly opening: SkipOpening };
}

export interface Watched {
  readonly evidence: readonly Evidence[];
  /** Signers of votes that were looked into and are signed badly. Votes are taken only from who signed them. */
  readonly forgers: readonly ValidatorIndex[];
}

const NOTHING: Watched = { evidence: [], forgers: [] };

export class Watch {
  readonly #networkId: Bytes32;
  readonly #set: ValidatorSet;
  readonly #scheme: Pick<VoteScheme, 'verify'>;
  readonly #views = new Map<View, SeenView>();
  /** Kinds of which a validator is convicted already, as `kind:index`: once in an epoch is enough. */
  readonly #convicted = new Set<string>();

  constructor(networkId: Bytes32, set: ValidatorSet, scheme: Pick<VoteScheme, 'verify'>) {
    this.#networkId = networkId;
    this.#set = set;
    this.#scheme = scheme;
  }

  /** Views of which something was seen. */
  get views(): number {
    return this.#views.size;
  }

  /** A vote from its signer, not verified. The caller has checked epoch and view window. */
  vote(vote: Vote): Watched {
    const seen = this.#at(vote.view);
    const held = seen.votes[vote.kind][vote.signer];
    if (held && equalBytes(held.blockHash, vote.blockHash)) return NOTHING;
    if (!held) seen.votes[vote.kind][vote.signer] = vote;
    return this.#examine(seen, vote);
  }

  /** Whether a vote of the signer for this very content has come, in a view that is looked at still. */
  holds(kind: VoteKind, view: View, hash: Bytes32, signer: ValidatorIndex): boolean {
    const vote = this.#views.get(view)?.votes[kind][signer];
    return vote !== undefined && equalBytes(vote.blockHash, hash);
  }

  /** A certificate that was verified, or was formed here. */
  certificate(certificate: Certificate): Watched {
    const seen = this.#at(certificate.view);
    const held = seen.certificates[certificate.kind];
    const isKnown = held.some(({ blockHash: hash }) => equalBytes(hash, certificate.blockHash));
    const evidence: Evidence[] = [];
    const forgers: ValidatorIndex[] = [];
    for (const other of this.#rivalCertificates(seen, certificate)) {
      this.#convict(evidence, conflict(other, certificate));
    }
    for (const vote of this.#rivalVotes(seen, certificate)) {
      if (this.#looksInto(seen, vote, forgers)) this.#convict(evidence, conflict(this.#statement(vote), certificate));
    }
    this.#convictOfSkip(seen, certificate, evidence);
    if (!isKnown && held.length < MAX_CERTIFICATES_PER_KIND) held.push(certificate);
    return { evidence, forgers };
  }

  /** Whether a certificate, if it is genuine, would convict anybody: one that is of no other use is verified for that only. */
  wouldConvict(certificate: Certificate): boolean {
    const seen = this.#views.get(certificate.view);
    if (!seen || certificate.signers.bitLen !== this.#set.validators.length) return false;
    return (
      this.#rivalCertificates(seen, certificate).length > 0 ||
      this.#rivalVotes(seen, certificate).length > 0 ||
      (isVoteFor(certificate, seen.wrongSkip?.hash) && this.#anyNew('E4', signersOf(certificate)))
    );
  }

  /**
   * A proposed header, with its skips, of which one is not the nullification that it must be, or whose number is wrong
   * (`position` undefined). The root has to be that of the skips, and at least one view skipped. Convicts whoever notarized
   * it, of votes that are seen already and later.
   */
  wrongSkip(header: BlockHeader, skips: readonly Certificate[], position: number | undefined): Watched {
    const seen = this.#at(header.view);
    seen.wrongSkip ??= { hash: blockHash(header), header, opening: openSkips(skips, position) };
    const evidence: Evidence[] = [];
    const forgers: ValidatorIndex[] = [];
    for (const certificate of seen.certificates[VoteKind.notarize]) this.#convictOfSkip(seen, certificate, evidence);
    for (const vote of seen.votes[VoteKind.notarize]) {
      if (vote) this.#examineForSkip(seen, vote, evidence, forgers);
    }
    return { evidence, forgers };
  }

  pruneBelow(view: View): void {
    for (const seen of this.#views.keys()) if (seen < view) this.#views.delete(seen);
  }

  #at(view: View): SeenView {
    let seen = this.#views.get(view);
    if (!seen) {
      seen = { votes: { 1: [], 2: [], 3: [] }, certificates: { 1: [], 2: [], 3: [] }, forged: new Map() };
      this.#views.set(view, seen);
    }
    return seen;
  }

  #examine(seen: SeenView, vote: Vote): Watched {
    const evidence: Evidence[] = [];
    const forgers: ValidatorIndex[] = [];
    for (const kind of KINDS) {
      const rivals: (Vote | Certificate)[] = seen.certificates[kind].filter(({ signers }) => signers.get(vote.signer));
      const rivalVote = seen.votes[kind][vote.signer];
      if (rivalVote) rivals.push(rivalVote);
      for (const rival of rivals) {
        const found = conflictOf(rival, vote);
        if (!found || !this.#anyNew(found, [vote.signer])) continue;
        if (!this.#looksInto(seen, vote, forgers)) return { evidence, forgers };
        const isVote = 'signer' in rival;
        if (isVote && !this.#looksInto(seen, rival, forgers)) {
          // The one that is genuine takes its place.
          seen.votes[vote.kind][vote.signer] ??= vote;
          continue;
        }
        this.#convict(evidence, conflict(isVote ? this.#statement(rival) : rival, this.#statement(vote)));
      }
    }
    this.#examineForSkip(seen, vote, evidence, forgers);
    return { evidence, forgers };
  }

  #examineForSkip(seen: SeenView, vote: Vote, evidence: Evidence[], forgers: ValidatorIndex[]): void {
    if (!isVoteFor(vote, seen.wrongSkip?.hash) || !this.#anyNew('E4', [vote.signer])) return;
    if (this.#looksInto(seen, vote, forgers)) this.#convictOfSkip(seen, this.#statement(vote), evidence);
  }

  #convictOfSkip({ wrongSkip }: SeenView, vote: Statement, evidence: Evidence[]): void {
    if (!wrongSkip || !isVoteFor(vote, wrongSkip.hash)) return;
    this.#convict(evidence, { kind: 'E4', vote, header: wrongSkip.header, opening: wrongSkip.opening });
  }

  /** Adds evidence if it convicts anybody who is not convicted of this yet. */
  #convict(evidence: Evidence[], found: Exclude<Evidence, { kind: 'E5' }>): void {
    const convicts =
      found.kind === 'E4'
        ? signersOf(found.vote)
        : signersOf(found.first).filter((signer) => found.second.signers.get(signer));
    if (!this.#anyNew(found.kind, convicts)) return;
    for (const signer of convicts) this.#convicted.add(`${found.kind}:${signer}`);
    evidence.push(found);
  }

  #anyNew(kind: EvidenceKind, signers: readonly ValidatorIndex[]): boolean {
    return signers.some((signer) => !this.#convicted.has(`${kind}:${signer}`));
  }

  #rivalCertificates(seen: SeenView, certificate: Certificate): Certificate[] {
    return KINDS.flatMap((kind) => seen.certificates[kind]).filter((other) => {
      const found = conflictOf(other, certificate);
      const both = signersOf(other).filter((signer) => certificate.signers.get(signer));
      return found !== undefined && this.#anyNew(found, both);
    });
  }

  #rivalVotes(seen: SeenView, certificate: Certificate): Vote[] {
    return KINDS.flatMap((kind) => seen.votes[kind]).filter((vote) => {
      if (!vote || !certificate.signers.get(vote.signer)) return false;
      const found = conflictOf(vote, certificate);
      return found !== undefined && this.#anyNew(found, [vote.signer]);
    }) as Vote[];
  }

  /** Verifies a vote by itself. One that is signed badly is let go of, and counted. */
  #looksInto(seen: SeenView, vote: Vote, forgers: ValidatorIndex[]): boolean {
    const forged = seen.forged.get(vote.signer) ?? 0;
    if (forged >= MAX_FORGED_VOTES_LOOKED_INTO) return false;
    if (this.#scheme.verify([vote.signer], voteSigningRoot(this.#networkId, vote), vote.signature)) return true;
    seen.forged.set(vote.signer, forged + 1);
    forgers.push(vote.signer);
    const slot = seen.votes[vote.kind];
    if (slot[vote.signer] === vote) slot[vote.signer] = undefined;
    return false;
  }

  #statement(vote: Vote): Statement {
    return statementOf(vote, this.#set.validators.length);
  }
}

function conflict(first: Statement, second: Statement): Exclude<Evidence, { kind: 'E4' | 'E5' }> {
  return { kind: conflictOf(first, second)!, first, second };
}

function isVoteFor({ kind, blockHash: hash }: Pick<Vote, 'kind' | 'blockHash'>, block: Bytes32 | undefined): boolean {
  return kind === VoteKind.notarize && block !== undefined && equalBytes(hash, block);
}
