/**
 * What must hold whatever happens, checked at every step from outside: from what honest nodes make visible, and from the
 * order of the things on their disks. Written from the protocol's rules and sharing no code with the core.
 */

import { verifyEvidence } from '@squad/crypto';
import {
  BatchRefs,
  type Block,
  type BlockHeader,
  blockHash,
  type Certificate,
  type ConsensusMessage,
  type Epoch,
  type Evidence,
  equalBytes,
  genesisBlock,
  type HandOverProof,
  MAX_CLOCK_DRIFT_MS,
  type Proposal,
  SkipCertificates,
  type ValidatorIndex,
  type View,
  type Vote,
  VoteKind,
  voteSigningRoot,
  ZERO_HASH,
} from '@squad/types';
import type { Consensus } from '../../src/core.ts';
import type { Heard } from '../observations.ts';
import { AnchorRules } from './anchors.ts';
import { type InvariantContext, InvariantViolation, type ObservedNode } from './api.ts';
import { cutBundle } from './bundles.ts';
import { EpochRules, FinalLedger } from './epochs.ts';
import { checkIncluded, weigh } from './inclusion.ts';
import { CertificateLedger } from './ledger.ts';
import { Promised } from './restore.ts';
import { SeenBlocks } from './seen-blocks.ts';

export { ForkConvicted, type InvariantContext, InvariantViolation, type ObservedNode } from './api.ts';

import { hexOf } from '../memo.ts';

/** Of the protocol, written out again: what the code says is what is being checked. */
const MAX_REFS_PER_BLOCK = 512;
const MAX_UNORDERED_PER_LANE = 64;
const MAX_SKIPS = 4096;

/** What one honest signer has said in one view. */
interface SignerView {
  notarize?: string;
  finalize?: string;
  nullified?: boolean;
  proposed?: string;
  /** The NOTARIZE that was last made before any NULLIFY was visible: a crash may keep it from being seen until after one. */
  made?: string;
}

export class Invariants {
  /** Of all epochs. */
  readonly final: FinalLedger;
  readonly #epoch: Epoch;
  readonly #epochRules: EpochRules;
  readonly #seen: SeenBlocks;
  readonly #anchors: AnchorRules;
  readonly #context: InvariantContext;
  readonly #ledger: CertificateLedger;
  /** What an honest quorum's majority weighs more than. */
  readonly #tolerated: number;
  readonly #signers: Map<View, SignerView>[];
  /** Per place: the views that were entered and looked at. */
  readonly #entered: Set<View>[];
  /** Per lane, along the final chain: next seq and digest of the last one. */
  readonly #lanes: { seq: number; digest: Uint8Array }[];
  readonly #promised: Promised[];
  /** Per place: certificates that were taken in since the last start. */
  readonly #taken: Set<string>[];
  steps = 0;

  /** `final`: shared by the epochs of one run. */
  constructor(context: InvariantContext, final?: FinalLedger) {
    this.#context = context;
    this.#epoch = context.epoch?.number ?? 0;
    this.#epochRules = new EpochRules(context);
    const genesis = genesisBlock(context.networkId, context.genesisTimeMs);
    this.final = final ?? new FinalLedger(genesis);
    this.#seen = new SeenBlocks(context.epoch?.root ?? genesis);
    this.#anchors = new AnchorRules(context, this.#seen);
    const { weights } = context;
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    this.#ledger = new CertificateLedger(context);
    this.#tolerated = total - this.#ledger.quorum;
    this.#signers = weights.map(() => new Map());
    // A validator that runs twice has two places, and is Byzantine.
    const places = context.epoch?.places ?? 2 * weights.length;
    this.#entered = Array.from({ length: places }, () => new Set());
    this.#taken = Array.from({ length: places }, () => new Set());
    this.#promised = Array.from({ length: places }, () => new Promised());
    this.#lanes = weights.map(() => ({ seq: 0, digest: ZERO_HASH }));
  }

  get chain(): FinalLedger['chain'] {
    return this.final.chain;
  }

  fail(invariant: string, message: string): never {
    throw new InvariantViolation(invariant, message);
  }

  /** R6: in as many views as all weigh together, each leads as often as it weighs. */
  checkLeaders(): void {
    const { weights, leaderAt } = this.#context;
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const first of [1, 1 + total]) {
      const turns = weights.map(() => 0);
      for (let view = first; view < first + total; view++) turns[leaderAt(view)]!++;
      if (turns.some((times, i) => times !== weights[i])) {
        this.fail('leaders take turns', `of ${total} views from ${first} on they lead ${turns}, and weigh ${weights}`);
      }
    }
  }

  /** The height up to which a node has delivered. */
  cursor(place: number): number {
    return this.final.cursor(place);
  }

  onStep(): void {
    this.steps++;
  }

  /** A node that would be restored like this if it crashed now. `running`: as it is, if all of that is on the disk. */
  onRestorable(node: ObservedNode, restored: Consensus, running: Consensus | undefined): void {
    this.#promised[node.place]!.check(node, restored, running);
  }

  /** R9: a view is entered on a certificate of the one before, or a finalization of a later one. */
  onEnteredView(node: ObservedNode, view: View): void {
    const entered = this.#entered[node.place]!;
    if (this.#context.isByzantine(node.index) || view === 1 || entered.has(view)) return;
    entered.add(view);
    const { networkId, registry, weights } = this.#context;
    // Of blocks only the hashes are known that somebody signed: a quorum for any of them will do.
    const root = voteSigningRoot(networkId, {
      kind: VoteKind.nullify,
      epoch: this.#epoch,
      view: view - 1,
      blockHash: ZERO_HASH,
    });
    const isNullified = weigh(registry.signersOf(root), weights) >= this.#ledger.quorum;
    if (isNullified || this.#isAnythingCertified(view - 1)) return;
    this.fail('entered on a certificate', `${node.name} entered view ${view}, and nothing certifies view ${view - 1}`);
  }

  #isAnythingCertified(view: View): boolean {
    return this.#seen.inView(view).some(({ header }) => this.#isCertified(view, blockHash(header)));
  }

  /** A node starts, and again after a crash. */
  onStarted(node: ObservedNode): void {
    this.#taken[node.place]!.clear();
    this.#anchors.onStarted(node);
  }

  /** R9, R12, R14: a certificate is taken in, and relayed, once. `inView`: where the node is. */
  onTaken(node: ObservedNode, certificate: Certificate, inView: View): void {
    const { kind, view, blockHash: hash } = certificate;
    this.#anchors.onTaken(node, certificate, inView);
    const taken = this.#taken[node.place]!;
    const name = `${kind} ${view} ${hexOf(hash)}`;
    if (taken.has(name) && !this.#context.isByzantine(node.index)) {
      this.fail('taken once', `${node.name} takes the same certificate of view ${view} for new again`);
    }
    taken.add(name);
  }

  /** R13, R11, R16: an own vote that was just made, in a view. R19: a proposal of a node that has heard of the head. */
  onVoteMade(node: ObservedNode, vote: Vote, view: View, heard: Heard): void {
    if (this.#context.isByzantine(node.index)) return;
    const who = node.name;
    this.#epochRules.checkVote(node);
    if (vote.kind === VoteKind.finalize) {
      if (!this.#isSignedByQuorum(VoteKind.notarize, vote.view, vote.blockHash)) {
        this.fail('FINALIZE what is notarized', `${who} finalizes in view ${vote.view} what no quorum notarized`);
      }
      return;
    }
    if (vote.kind === VoteKind.notarize) {
      const said = this.#said(node.index, view);
      if (said.nullified) this.fail('no NOTARIZE after NULLIFY', `${who} in view ${view}`);
      said.made = hexOf(vote.blockHash);
    }
    if (vote.view !== view) this.fail('the current view', `${who} is in view ${view} and votes in view ${vote.view}`);
    const leads = vote.kind === VoteKind.notarize && this.#context.leaderAt(view) === node.index;
    if (leads && !heard.isFresh(this.#context.weights)) {
      this.fail('fresh', `${who} proposes in view ${view} and has heard of no certificate since it started`);
    }
  }

  // ---------------------------------------------------------------- what is sent

  onSend(node: ObservedNode, message: ConsensusMessage): void {
    if (message.type === 'proposal') this.#seen.propose(message.proposal);
    if (this.#context.isByzantine(node.index)) return;
    if (message.type === 'certificate') this.#promised[node.place]!.certificate(message.certificate);
    switch (message.type) {
      case 'proposal':
        return this.#onProposal(node, message.proposal);
      case 'vote':
        return this.#onVote(node, message.vote);
      case 'certificate':
        return this.#onCertificate(node.name, message.certificate);
      case 'handOver':
        return this.#context.count('an answer to who is behind');
    }
  }

  /** R22. */
  onEpochEnded(node: ObservedNode, block: Block, proof: HandOverProof): void {
    const { height } = block.header;
    const hasDelivered = this.cursor(node.place) >= height;
    this.#epochRules.onEnded(node, block, proof, hasDelivered ? this.chain[height]?.hash : undefined);
    if (!this.#context.isByzantine(node.index)) this.#onCertificate(node.name, proof.certificate);
  }

  onBlock(block: Block): void {
    this.#seen.add(block);
  }

  /** A proposal that a Byzantine leader made. */
  onByzantineMessage(message: ConsensusMessage): void {
    if (message.type !== 'proposal') return;
    const { block, skips } = message.proposal;
    // Under one header there may be other refs or skips than it commits to: nobody votes for these.
    const isWhole =
      equalBytes(BatchRefs.hashTreeRoot(block.refs), block.header.refsRoot) &&
      equalBytes(SkipCertificates.hashTreeRoot(skips), block.header.skipsRoot);
    if (isWhole) this.#seen.propose(message.proposal);
  }

  /** R10, R16: a leader proposes once per view, and its proposal is its NOTARIZE. */
  #onProposal(node: ObservedNode, proposal: Proposal): void {
    const hash = this.#seen.hashOf(proposal.block);
    const { view, leader } = proposal.block.header;
    if (leader !== node.index || this.#context.leaderAt(view) !== leader) {
      this.fail('leader', `n${node.index} proposed in view ${view} of n${this.#context.leaderAt(view)}`);
    }
    const said = this.#said(node.index, view);
    if (said.proposed !== undefined && said.proposed !== hash) {
      this.fail('one proposal', `n${node.index} proposed two blocks in view ${view}`);
    }
    if (said.proposed === undefined) {
      checkIncluded(this.#context, node, proposal.block, (lane) => this.orderedBatches(lane));
      this.#anchors.onProposed(node, proposal.block);
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
  #onVote(node: ObservedNode, vote: Vote): void {
    const who = node.name;
    const { kind, view } = vote;
    const hash = hexOf(vote.blockHash);
    this.#epochRules.checkVote(node);
    if (vote.epoch !== this.#epoch) this.fail('epoch', `${who} votes in epoch ${vote.epoch}, and is in ${this.#epoch}`);
    if (vote.signer !== node.index) this.fail('own votes', `${who} sent a vote of n${vote.signer}`);
    const said = this.#said(node.index, view);
    if (kind === VoteKind.notarize) {
      if (said.notarize === hash) return;
      if (said.notarize !== undefined) this.fail('one NOTARIZE', `${who} notarized two blocks in view ${view}`);
      if (said.nullified && said.made !== hash) this.fail('no NOTARIZE after NULLIFY', `${who} in view ${view}`);
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
    this.#promised[node.place]!.vote(vote);
    if (!node.isVoteDurable(vote)) this.fail('durable before visible', `${who} sent a vote that is not on its disk`);
    const root = voteSigningRoot(this.#context.networkId, vote);
    if (!this.#context.registry.genuine([vote.signer], root, vote.signature)) {
      this.fail('own signature', `${who} sent a vote with a signature that is not its own`);
    }
    this.#context.count(kind === 1 ? 'NOTARIZE' : kind === 2 ? 'NULLIFY' : 'FINALIZE');
  }

  /** R11: what an honest NOTARIZE says of a block. */
  #checkNotarize(node: ObservedNode, view: View, hash: string): void {
    const who = node.name;
    const proposal = this.#seen.proposal(hash);
    if (!proposal) {
      // A leader that crashed before its proposal was visible remembers its vote, and cannot propose again (R10).
      const own = node.index === this.#context.leaderAt(view) && node.isBlockKnown(hash);
      if (own) return this.#context.count('a leader restarted without its proposal');
      return this.fail('known block', `${who} notarized a block that nobody proposed`);
    }
    const { block, parentCertificate, skips } = proposal;
    const { header, refs } = block;
    if (header.view !== view || header.leader !== this.#context.leaderAt(view)) {
      this.fail('leader', `${who} notarized in view ${view} a block of view ${header.view} by n${header.leader}`);
    }
    if (refs.length > MAX_REFS_PER_BLOCK || skips.length > MAX_SKIPS) {
      this.fail('limits', `${who} notarized a block of ${refs.length} refs and ${skips.length} skips`);
    }
    const cut = cutBundle(refs);
    if (cut) this.fail('whole bundles', `${who} notarized in view ${view} a block that ${cut}`);
    for (const ref of refs) {
      if (node.isBatchDurable(ref.digest)) continue;
      this.fail('data held', `${who} notarized in view ${view} without batch ${ref.author}/${ref.seq} on its disk`);
    }
    if (header.parentView > 0) {
      // A Byzantine leader may send a block with several certificates: which of them this node saw is not known here.
      const certified =
        this.#context.isByzantine(header.leader) ||
        (parentCertificate.kind !== VoteKind.nullify &&
          parentCertificate.view === header.parentView &&
          equalBytes(parentCertificate.blockHash, header.parentHash));
      if (!certified || !this.#isCertified(header.parentView, header.parentHash)) {
        this.fail('certified parent', `${who} notarized in view ${view} on a parent that is not certified`);
      }
      // Its signature need not have been looked at: only a genuine one tells who signed.
      if (this.#isGenuine(parentCertificate)) this.#onCertificate(`a parent in view ${view}`, parentCertificate);
    } else if (hexOf(header.parentHash) !== this.#seen.root.hash) {
      this.fail('certified parent', `${who} notarized in view ${view} on another start of the epoch`);
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
    this.#epochRules.checkNotarized(node, block);
    this.#seen.checkOnParent(who, block, this.#context.weights.length);
    this.#anchors.checkNotarized(node, block);
  }

  /**
   * Whether a quorum signed NOTARIZE or FINALIZE of a block. A node that holds a certificate of the parent need not look at
   * the signature of the one that a proposal carries: the header does not commit to it.
   */
  #isCertified(view: View, hash: Uint8Array): boolean {
    return [VoteKind.notarize, VoteKind.finalize].some((kind) => this.#isSignedByQuorum(kind, view, hash));
  }

  #isSignedByQuorum(kind: VoteKind, view: View, hash: Uint8Array): boolean {
    const root = voteSigningRoot(this.#context.networkId, { kind, epoch: this.#epoch, view, blockHash: hash });
    const signers = this.#context.registry.signersOf(root);
    return weigh(signers, this.#context.weights) >= this.#ledger.quorum;
  }

  #isGenuine(certificate: Certificate): boolean {
    if (certificate.signers.bitLen !== this.#context.weights.length) return false; // made for another set
    const signers = [...this.#context.weights.keys()].filter((i) => certificate.signers.get(i));
    const root = voteSigningRoot(this.#context.networkId, certificate);
    return this.#context.registry.genuine(signers, root, certificate.signature);
  }

  // ---------------------------------------------------------------- certificates

  #onCertificate(who: string, certificate: Certificate): void {
    const isFirst = this.#ledger.observe(who, certificate);
    if (isFirst && certificate.kind === VoteKind.notarize) this.#checkAvailable(certificate);
  }

  /** Whatever a quorum vouched for can be had from honest nodes that hold it durably, of more than F weight (R11, R12). */
  #checkAvailable({ view, blockHash: notarized }: Certificate): void {
    const { isOverloaded, nodes, isByzantine, weights } = this.#context;
    const block = this.#seen.get(hexOf(notarized));
    if (isOverloaded || !block || block.refs.length === 0) return;
    let weight = 0;
    for (const node of nodes()) {
      if (isByzantine(node.index)) continue;
      if (block.refs.every(({ digest }) => node.isBatchDurable(digest))) weight += weights[node.index]!;
    }
    this.#context.count('bodies of a notarized block held by more than F');
    if (weight > this.#tolerated) return;
    this.fail('available', `honest weight ${weight} holds the bodies of the block notarized in view ${view}`);
  }

  // ---------------------------------------------------------------- what comes out

  onSoft({ index, name }: ObservedNode, block: Block, certificate: Certificate): void {
    if (this.#context.isByzantine(index)) return;
    const right = certificate.kind === VoteKind.notarize && hexOf(certificate.blockHash) === this.#seen.hashOf(block);
    this.#epochRules.checkSoft(name, block);
    if (!right) this.fail('soft', `${name} announced a block as soft with a certificate of something else`);
    this.#onCertificate(name, certificate);
    this.#context.count('soft');
  }

  /** R15: in order, linked, without gap or repetition, the same for all. No certificate: delivered again after a crash. */
  onFinal(
    node: ObservedNode,
    blocks: readonly Block[],
    certificate: Certificate | undefined,
    path: readonly BlockHeader[] = [],
  ): void {
    if (this.#context.isByzantine(node.index)) return;
    const who = node.name;
    // Before the blocks: of a fork, this certificate is a part of the proof.
    if (certificate) this.#onCertificate(who, certificate);
    for (const block of blocks) {
      const { height, parentHash } = block.header;
      const expected = this.cursor(node.place) + 1;
      if (height !== expected) this.fail('final order', `${who} delivered height ${height}, not ${expected}`);
      const hash = this.#seen.hashOf(block);
      const known = this.chain[height];
      if (known && known.hash !== hash) this.#ledger.onFork(`${who}: another block is final at height ${height}`);
      if (!known) {
        if (hexOf(parentHash) !== this.chain[height - 1]!.hash)
          this.#ledger.onFork(`${who}: height ${height} is not linked`);
        this.#epochRules.checkFinal(who, block);
        this.#anchors.checkFinal(who, block, this.#tolerated);
        this.chain[height] = { hash, block };
        this.#checkLanes(who, block);
        if (block.refs.some(({ joinsNext }) => joinsNext)) this.#context.count('a final block with a bundle');
      }
      this.final.deliver(node.place, height);
      this.#promised[node.place]!.final(height);
      this.#context.count('final');
    }
    if (!certificate) return this.#context.count('delivered again after a crash');
    const last = blocks.at(-1)!;
    const right =
      certificate.kind === VoteKind.finalize &&
      equalBytes(certificate.blockHash, this.#epochRules.finalizedHash(last, [...path]));
    if (!right) this.fail('finalization', `${who}: the certificate is not the last block's`);
    if (blocks.length > 1) this.#context.count('several blocks final at once');
  }

  /** Every lane goes on where it stood, each batch names the one before, and somebody made it. */
  #checkLanes(who: string, { header, refs }: Block): void {
    for (const { author, seq, digest } of refs) {
      const lane = this.#lanes[author];
      if (lane && seq - lane.seq >= MAX_UNORDERED_PER_LANE)
        this.fail('limits', `${who}: lane ${author} had ${seq - lane.seq} batches that were not ordered`);
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

  /** How many batches of a lane are in final blocks. */
  orderedBatches(author: ValidatorIndex): number {
    return this.#lanes[author]?.seq ?? 0;
  }

  // ---------------------------------------------------------------- accusations

  onMisbehaved({ index, name }: ObservedNode, peer: ValidatorIndex, reason: string): void {
    this.#context.count('misbehaved');
    if (this.#context.isByzantine(index) || this.#context.isByzantine(peer)) return;
    // With certificates that exclude each other honest nodes build on either, and each is wrong to those on the other.
    if (this.#context.isOverloaded) return;
    this.fail('no honest node accused', `${name} says of honest n${peer}: ${reason}`);
  }

  /** What is put out verifies for a stranger, and convicts Byzantine validators only. */
  onEvidence({ name }: ObservedNode, evidence: Evidence): void {
    const { networkId, validatorSet, registry } = this.#context;
    this.#context.count(`evidence ${evidence.kind}`);
    const judged = verifyEvidence(evidence, validatorSet, networkId, registry.schemeFor(undefined));
    if (!judged.ok)
      this.fail('evidence', `${name}: evidence ${evidence.kind} that proves nothing: ${judged.error.reason}`);
    const honest = judged.value.validators.find((validator) => !this.#context.isByzantine(validator));
    if (honest === undefined) return;
    this.fail('no honest node convicted', `${name} has evidence ${evidence.kind} against honest n${honest}`);
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
}
