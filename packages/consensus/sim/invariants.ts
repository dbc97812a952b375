/**
 * What must hold whatever happens, checked at every step from outside: from what honest nodes make visible, and from the
 * order of the things on their disks. Written from the protocol's rules and sharing no code with the core.
 */

import { verifyEvidence } from '@squad/crypto';
import {
  type Block,
  blockHash,
  type Certificate,
  type ConsensusMessage,
  type Evidence,
  equalBytes,
  genesisBlock,
  MAX_CLOCK_DRIFT_MS,
  type Proposal,
  SkipCertificates,
  toHex,
  type ValidatorIndex,
  type ValidatorSet,
  type View,
  type Vote,
  VoteKind,
  voteSigningRoot,
  ZERO_HASH,
} from '@squad/types';
import type { HeldBatch } from '../src/api.ts';
import type { SignatureRegistry } from './mock-scheme.ts';
import type { SimulatedNode } from './node.ts';

export class InvariantViolation extends Error {
  readonly invariant: string;

  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`);
    this.name = 'InvariantViolation';
    this.invariant = invariant;
  }
}

export interface InvariantContext {
  readonly networkId: Uint8Array;
  readonly genesisTimeMs: number;
  readonly weights: readonly number[];
  readonly validatorSet: ValidatorSet;
  readonly registry: SignatureRegistry;
  isByzantine(index: ValidatorIndex): boolean;
  /** The batch that an honest or Byzantine author really made with this digest. */
  batchOf(digest: Uint8Array): HeldBatch | undefined;
  leaderAt(view: View): ValidatorIndex;
  latestLocalNowMs(): number;
  count(kind: string): void;
}

/** What one honest signer has said in one view. */
interface SignerView {
  notarize?: string;
  finalize?: string;
  nullified?: boolean;
  proposed?: string;
}

/** Which certificates of one view exist. */
interface ViewCertificates {
  notarized?: string;
  finalized?: string;
  nullified?: boolean;
}

export class Invariants {
  /** Final blocks by height, the same for all; genesis at 0. */
  readonly chain: { readonly hash: string; readonly block: Block }[];
  readonly #context: InvariantContext;
  readonly #quorum: number;
  readonly #signers: Map<View, SignerView>[];
  readonly #certificates = new Map<View, ViewCertificates>();
  readonly #checked = new WeakSet<Certificate>();
  readonly #proposals = new Map<string, Proposal>();
  readonly #blocks = new Map<string, Block>();
  readonly #delivered: number[];
  readonly #restarts: number[];
  /** Per lane, along the final chain: next seq and digest of the last one. */
  readonly #lanes: { seq: number; digest: Uint8Array }[];
  readonly #hashes = new WeakMap<object, string>();
  /** Per node: how much of its log was looked at, and the votes in it. */
  readonly #recorded: { upTo: number; readonly votes: Set<string> }[];
  steps = 0;

  constructor(context: InvariantContext) {
    this.#context = context;
    const { weights } = context;
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    this.#quorum = total - Math.floor((total - 1) / 3);
    this.#signers = weights.map(() => new Map());
    this.#delivered = weights.map(() => 0);
    this.#restarts = weights.map(() => 0);
    this.#lanes = weights.map(() => ({ seq: 0, digest: ZERO_HASH }));
    this.#recorded = weights.map(() => ({ upTo: 0, votes: new Set() }));
    const genesis = genesisBlock(context.networkId, context.genesisTimeMs);
    this.chain = [{ hash: toHex(blockHash(genesis.header)), block: genesis }];
  }

  fail(invariant: string, message: string): never {
    throw new InvariantViolation(invariant, message);
  }

  /** The height up to which a node has delivered. */
  cursor(index: ValidatorIndex): number {
    return this.#delivered[index]!;
  }

  onStep(): void {
    this.steps++;
  }

  onRestart(index: ValidatorIndex): void {
    this.#restarts[index]!++;
  }

  // ---------------------------------------------------------------- what is sent

  onSend(node: SimulatedNode, message: ConsensusMessage): void {
    if (message.type === 'proposal') this.#learn(message.proposal);
    if (this.#context.isByzantine(node.index)) return;
    switch (message.type) {
      case 'proposal':
        return this.#onProposal(node, message.proposal);
      case 'vote':
        return this.#onVote(node, message.vote);
      case 'certificate':
        return this.#onCertificate(`n${node.index}`, message.certificate);
    }
  }

  /** Blocks that anyone proposed, Byzantine ones too: what an honest vote for them stands for is judged by them. */
  #learn(proposal: Proposal): void {
    this.#proposals.set(this.#hashOf(proposal.block), proposal);
    this.onBlock(proposal.block);
  }

  /** A block that was proposed or recorded: the proposal of a lone validator is never sent, and survives a crash. */
  onBlock(block: Block): void {
    this.#blocks.set(this.#hashOf(block), block);
  }

  /** A proposal that a Byzantine leader made. */
  onByzantineMessage(message: ConsensusMessage): void {
    if (message.type === 'proposal') this.#learn(message.proposal);
  }

  /** R10, R16: a leader proposes once per view, and its proposal is its NOTARIZE. */
  #onProposal(node: SimulatedNode, proposal: Proposal): void {
    const hash = this.#hashOf(proposal.block);
    const { view, leader } = proposal.block.header;
    if (leader !== node.index || this.#context.leaderAt(view) !== leader) {
      this.fail('leader', `n${node.index} proposed in view ${view} of n${this.#context.leaderAt(view)}`);
    }
    const said = this.#said(node.index, view);
    if (said.proposed !== undefined && said.proposed !== hash) {
      this.fail('one proposal', `n${node.index} proposed two blocks in view ${view}`);
    }
    said.proposed = hash;
    this.#onVote(node, {
      kind: VoteKind.notarize,
      epoch: proposal.block.header.epoch,
      view,
      blockHash: blockHash(proposal.block.header),
      signer: leader,
      signature: proposal.leaderSignature,
    });
  }

  /** R16, R20 and R11, for the votes of honest nodes that become visible. */
  #onVote(node: SimulatedNode, vote: Vote): void {
    const who = `n${node.index}`;
    const { kind, view } = vote;
    const hash = toHex(vote.blockHash);
    if (vote.signer !== node.index) this.fail('own votes', `${who} sent a vote of n${vote.signer}`);
    const said = this.#said(node.index, view);
    const name = `${kind} ${view} ${hash}`;
    if (kind === VoteKind.notarize) {
      if (said.notarize === hash) return;
      if (said.notarize !== undefined) this.fail('one NOTARIZE', `${who} notarized two blocks in view ${view}`);
      if (said.nullified) this.fail('no NOTARIZE after NULLIFY', `${who} in view ${view}`);
      said.notarize = hash;
      this.#checkNotarize(node, view, hash);
    } else if (kind === VoteKind.finalize) {
      if (said.finalize === hash) return;
      if (said.finalize !== undefined) this.fail('one FINALIZE', `${who} finalized two blocks in view ${view}`);
      if (said.nullified) this.fail('NULLIFY or FINALIZE', `${who} finalizes view ${view}, which it nullified`);
      if (said.notarize !== undefined && said.notarize !== hash) {
        this.fail('FINALIZE as notarized', `${who} notarized one block in view ${view} and finalizes another`);
      }
      said.finalize = hash;
    } else {
      if (said.nullified) return;
      if (said.finalize !== undefined)
        this.fail('NULLIFY or FINALIZE', `${who} nullifies view ${view}, which it finalized`);
      said.nullified = true;
    }
    if (!this.#isRecorded(node, name))
      this.fail('durable before visible', `${who} sent a vote that is not on its disk`);
    const root = voteSigningRoot(this.#context.networkId, vote);
    if (!this.#context.registry.genuine([vote.signer], root, vote.signature)) {
      this.fail('own signature', `${who} sent a vote with a signature that is not its own`);
    }
    this.#context.count(kind === 1 ? 'NOTARIZE' : kind === 2 ? 'NULLIFY' : 'FINALIZE');
  }

  #isRecorded(node: SimulatedNode, name: string): boolean {
    const recorded = this.#recorded[node.index]!;
    const { durable } = node.disk;
    for (; recorded.upTo < durable.length; recorded.upTo++) {
      const entry = durable[recorded.upTo]!;
      if (entry.type !== 'record' || entry.record.type !== 'vote') continue;
      const { kind, view, blockHash: hash } = entry.record.vote;
      recorded.votes.add(`${kind} ${view} ${toHex(hash)}`);
    }
    return recorded.votes.has(name);
  }

  /** R11: what an honest NOTARIZE says of a block. */
  #checkNotarize(node: SimulatedNode, view: View, hash: string): void {
    const who = `n${node.index}`;
    const proposal = this.#proposals.get(hash);
    if (!proposal) {
      // A leader that crashed before its proposal was visible remembers its vote, and cannot propose again (R10).
      const own = node.index === this.#context.leaderAt(view) && node.blocks.has(hash);
      if (own) return this.#context.count('a leader restarted without its proposal');
      return this.fail('known block', `${who} notarized a block that nobody proposed`);
    }
    const { block, parentCertificate, skips } = proposal;
    const { header, refs } = block;
    if (header.view !== view || header.leader !== this.#context.leaderAt(view)) {
      this.fail('leader', `${who} notarized in view ${view} a block of view ${header.view} by n${header.leader}`);
    }
    for (const ref of refs) {
      if (node.batches.isDurable(ref.digest)) continue;
      this.fail('data held', `${who} notarized in view ${view} without batch ${ref.author}/${ref.seq} on its disk`);
    }
    if (header.parentView > 0) {
      const certified =
        parentCertificate.kind !== VoteKind.nullify &&
        parentCertificate.view === header.parentView &&
        equalBytes(parentCertificate.blockHash, header.parentHash);
      if (!certified || !this.#isCertified(header.parentView, header.parentHash)) {
        this.fail('certified parent', `${who} notarized in view ${view} on a parent that is not certified`);
      }
    } else if (toHex(header.parentHash) !== this.chain[0]!.hash) {
      this.fail('certified parent', `${who} notarized in view ${view} on another genesis`);
    }
    if (skips.length !== view - header.parentView - 1) {
      this.fail('skips', `${who} notarized in view ${view} on view ${header.parentView} with ${skips.length} skips`);
    }
    skips.forEach((skip, i) => {
      if (skip.kind !== VoteKind.nullify || skip.view !== header.parentView + 1 + i) {
        this.fail('skips', `${who} notarized in view ${view} without a nullification of ${header.parentView + 1 + i}`);
      }
      this.#onCertificate(`a skip in view ${view}`, skip);
    });
    if (skips.length > 0) this.#context.count('a block that skips views');
    if (!equalBytes(SkipCertificates.hashTreeRoot(skips), header.skipsRoot)) {
      this.fail('skips', `${who} notarized in view ${view} with a wrong skips root`);
    }
    const latest = this.#context.latestLocalNowMs() + MAX_CLOCK_DRIFT_MS;
    if (header.timestampMs > latest) this.fail('timestamp', `${who} notarized a block from the future in view ${view}`);
    this.#checkOnParent(who, block);
  }

  /**
   * Whether a quorum signed NOTARIZE or FINALIZE of a block. A node that holds a certificate of the parent need not look at
   * the signature of the one that a proposal carries: the header does not commit to it.
   */
  #isCertified(view: View, hash: Uint8Array): boolean {
    return [VoteKind.notarize, VoteKind.finalize].some((kind) => {
      const root = voteSigningRoot(this.#context.networkId, { kind, epoch: 0, view, blockHash: hash });
      const signers = this.#context.registry.signersOf(root);
      return signers.reduce((sum, signer) => sum + this.#context.weights[signer]!, 0) >= this.#quorum;
    });
  }

  /** Height, time and lanes against the parent, which was proposed or is genesis. */
  #checkOnParent(who: string, block: Block): void {
    const { header, refs } = block;
    const parent = this.#blockOf(toHex(header.parentHash));
    if (!parent) return this.fail('known block', `${who} built on a block that nobody proposed`);
    if (header.height !== parent.header.height + 1 || header.parentView !== parent.header.view) {
      this.fail('height', `${who}: height ${header.height} on a parent of height ${parent.header.height}`);
    }
    if (header.timestampMs < parent.header.timestampMs) this.fail('timestamp', `${who}: earlier than the parent`);
    for (const { author, seq } of refs) {
      const first = refs.find((ref) => ref.author === author)!;
      if (seq !== first.seq + refs.filter((ref) => ref.author === author && ref.seq < seq).length) {
        this.fail('lane order', `${who}: lane ${author} has a gap or a repetition inside a block`);
      }
      if (first.seq !== this.#nextSeqAfter(parent, author)) {
        this.fail('lane order', `${who}: lane ${author} goes on at ${first.seq}, not after the last one ordered`);
      }
    }
  }

  #nextSeqAfter(block: Block, author: ValidatorIndex): number {
    for (let at: Block | undefined = block; at; ) {
      const last: { seq: number } | undefined = at.refs.findLast((ref) => ref.author === author);
      if (last) return last.seq + 1;
      if (at.header.height === 0) return 0;
      at = this.#blockOf(toHex(at.header.parentHash));
    }
    return this.fail('known block', 'an ancestor was never proposed');
  }

  #blockOf(hash: string): Block | undefined {
    return hash === this.chain[0]!.hash ? this.chain[0]!.block : this.#blocks.get(hash);
  }

  // ---------------------------------------------------------------- certificates

  /** Weight, genuine signers, and what may not stand beside each other in one view. */
  #onCertificate(who: string, certificate: Certificate): void {
    if (this.#checked.has(certificate)) return;
    this.#checked.add(certificate);
    const { kind, view, signers } = certificate;
    let weight = 0;
    const list: ValidatorIndex[] = [];
    for (let i = 0; i < signers.bitLen; i++) {
      if (!signers.get(i)) continue;
      list.push(i);
      weight += this.#context.weights[i] ?? 0;
    }
    if (weight < this.#quorum) {
      this.fail('quorum', `${who}: certificate of view ${view} of weight ${weight}, less than ${this.#quorum}`);
    }
    const root = voteSigningRoot(this.#context.networkId, certificate);
    if (!this.#context.registry.genuine(list, root, certificate.signature)) {
      this.fail('genuine', `${who}: certificate of view ${view} with signers who did not sign`);
    }
    const hash = toHex(certificate.blockHash);
    let there = this.#certificates.get(view);
    if (!there) {
      there = {};
      this.#certificates.set(view, there);
    }
    const before = { ...there };
    if (kind === VoteKind.nullify) there.nullified = true;
    else if (kind === VoteKind.notarize) there.notarized ??= hash;
    else there.finalized ??= hash;
    this.#context.count(['', 'notarization', 'nullification', 'finalization'][kind]!);
    if (kind === VoteKind.notarize && there.notarized !== hash) this.fail('one notarization', `two in view ${view}`);
    if (kind === VoteKind.finalize && there.finalized !== hash) this.fail('one finalization', `two in view ${view}`);
    if (there.nullified && there.finalized !== undefined) {
      this.fail('nullified or finalized', `view ${view} has both certificates`);
    }
    if (there.finalized !== undefined && there.notarized !== undefined && there.finalized !== there.notarized) {
      this.fail('one notarization', `view ${view}: one block notarized, another finalized`);
    }
    if (before.nullified && there.notarized !== undefined) this.#context.count('a view both nullified and notarized');
  }

  // ---------------------------------------------------------------- what comes out

  onSoft(index: ValidatorIndex, block: Block, certificate: Certificate): void {
    if (this.#context.isByzantine(index)) return;
    const right = certificate.kind === VoteKind.notarize && toHex(certificate.blockHash) === this.#hashOf(block);
    if (!right) this.fail('soft', `n${index} announced a block as soft with a certificate of something else`);
    this.#onCertificate(`n${index}`, certificate);
    this.#context.count('soft');
  }

  /** R15: in order, linked, without gap or repetition, the same for all. No certificate: delivered again after a crash. */
  onFinal(index: ValidatorIndex, blocks: readonly Block[], certificate: Certificate | undefined): void {
    if (this.#context.isByzantine(index)) return;
    const who = `n${index}`;
    for (const block of blocks) {
      const { height, parentHash } = block.header;
      const expected = this.#delivered[index]! + 1;
      if (height !== expected) this.fail('final order', `${who} delivered height ${height}, not ${expected}`);
      const hash = this.#hashOf(block);
      const known = this.chain[height];
      if (known && known.hash !== hash)
        this.fail('one final chain', `${who}: another block is final at height ${height}`);
      if (!known) {
        if (toHex(parentHash) !== this.chain[height - 1]!.hash)
          this.fail('final chain', `${who}: height ${height} is not linked`);
        this.chain[height] = { hash, block };
        this.#checkLanes(who, block);
      }
      this.#delivered[index] = height;
      this.#context.count('final');
    }
    if (!certificate) return this.#context.count('delivered again after a crash');
    const last = blocks.at(-1)!;
    const right = certificate.kind === VoteKind.finalize && toHex(certificate.blockHash) === this.#hashOf(last);
    if (!right) this.fail('finalization', `${who}: the certificate is not the last block's`);
    this.#onCertificate(who, certificate);
    if (blocks.length > 1) this.#context.count('several blocks final at once');
  }

  /** Every lane goes on where it stood, each batch names the one before, and somebody made it. */
  #checkLanes(who: string, { header, refs }: Block): void {
    for (const { author, seq, digest } of refs) {
      const lane = this.#lanes[author];
      const batch = this.#context.batchOf(digest);
      if (!lane || !batch) return this.fail('lane order', `${who}: height ${header.height} orders a batch nobody made`);
      if (seq !== lane.seq || batch.ref.seq !== seq || batch.ref.author !== author) {
        this.fail('lane order', `${who}: height ${header.height} orders ${author}/${seq}, expected seq ${lane.seq}`);
      }
      if (!equalBytes(batch.previousDigest, lane.digest)) {
        this.fail('lane order', `${who}: height ${header.height} orders ${author}/${seq} off its lane's chain`);
      }
      lane.seq = seq + 1;
      lane.digest = digest;
    }
  }

  /** How many batches of a lane are final, as far as a height. */
  laneLength(author: ValidatorIndex): number {
    return this.#lanes[author]!.seq;
  }

  // ---------------------------------------------------------------- accusations

  onMisbehaved(index: ValidatorIndex, peer: ValidatorIndex, reason: string): void {
    this.#context.count('misbehaved');
    if (this.#context.isByzantine(index) || this.#context.isByzantine(peer)) return;
    this.fail('no honest node accused', `n${index} says of honest n${peer}: ${reason}`);
  }

  /** What is put out verifies for a stranger, and convicts Byzantine validators only. */
  onEvidence(index: ValidatorIndex, evidence: Evidence): void {
    const { networkId, validatorSet, registry } = this.#context;
    this.#context.count(`evidence ${evidence.kind}`);
    const judged = verifyEvidence(evidence, validatorSet, networkId, registry.schemeFor(undefined));
    if (!judged.ok) {
      this.fail('evidence', `n${index}: evidence ${evidence.kind} that proves nothing: ${judged.error.reason}`);
    }
    const honest = judged.value.validators.find((validator) => !this.#context.isByzantine(validator));
    if (honest !== undefined) {
      this.fail('no honest node convicted', `n${index} has evidence ${evidence.kind} against honest n${honest}`);
    }
  }

  // ---------------------------------------------------------------- helpers

  #said(index: ValidatorIndex, view: View): SignerView {
    const views = this.#signers[index]!;
    let said = views.get(view);
    if (!said) {
      said = {};
      views.set(view, said);
    }
    return said;
  }

  #hashOf(block: Block): string {
    let hash = this.#hashes.get(block.header);
    if (hash === undefined) {
      hash = toHex(blockHash(block.header));
      this.#hashes.set(block.header, hash);
    }
    return hash;
  }
}
