/**
 * The protocol (R6 to R21) as a state machine: `step(nowMs, input)` changes the state and answers with what is to be done.
 * Deterministic: no clock, no randomness, no waiting, nothing iterated in an order that is not fixed.
 *
 * Reading order: `step` dispatches; the `#on…` methods are the protocol's events; `#proceed` does whatever the present
 * state allows: judge the proposal, propose, time out, try again.
 */

import {
  BatchRefs,
  BLOCK_VERSION,
  type Block,
  type BlockHash,
  blockHash,
  type Certificate,
  type ConsensusMessage,
  equalBytes,
  faultyWeight,
  fromHex,
  genesisBlock,
  genesisCertificate,
  type Height,
  LeaderSchedule,
  MAX_BLOCKS_PER_RANGE,
  MAX_BODY_LAG_BLOCKS,
  MAX_CLOCK_DRIFT_MS,
  type Proposal,
  quorumWeight,
  SkipCertificates,
  signersOf,
  toHex,
  totalWeight,
  type UnixMs,
  type ValidatorIndex,
  type View,
  type Vote,
  VoteKind,
  type Weight,
  ZERO_HASH,
} from '@squad/types';
import type { Checkpoint, ConsensusConfig, ConsensusRecord, Input, Output } from './api.ts';
import { certificateFault, HeldCertificates } from './certificates.ts';
import { Chain, type ChainBlock, refsMatch } from './chain.ts';
import { emptyTips, Lanes, type LaneTip } from './lanes.ts';
import { Pacemaker } from './pacemaker.ts';
import { proposalFault } from './proposal.ts';
import { Signer } from './signer.ts';
import { Tally, VOTE_WINDOW_VIEWS } from './tally.ts';

/** What happened so far in the current view. */
interface Round {
  readonly enteredAtMs: UnixMs;
  /** The leader's proposal, its form and its certificates checked. */
  proposal?: { readonly proposal: Proposal; readonly hash: BlockHash; readonly receivedAtMs: UnixMs };
  /** The proposal was found wrong, or the leader nullified: an immediate timeout. */
  abandoned: boolean;
  /** Data that was asked for, and when it may be asked for again. */
  fetchAgainAtMs: UnixMs;
  notarizedAtMs?: UnixMs;
  /** When something of this view was last sent. */
  sentAtMs?: UnixMs;
  /** The own proposal, to be sent again. */
  own?: Proposal;
}

export interface ConsensusStatus {
  readonly view: View;
  readonly leader: ValidatorIndex;
  readonly finalHeight: Height;
  readonly finalView: View;
  /** A certificate was received or formed since the start (R19), and nothing final is known that is not held here. */
  readonly sawHead: boolean;
  readonly delayMs: number;
}

export class Consensus {
  readonly #config: ConsensusConfig;
  readonly #leaders: LeaderSchedule;
  readonly #quorum: Weight;
  readonly #genesis: { readonly block: Block; readonly certificate: Certificate };
  readonly #signer: Signer;
  readonly #tally: Tally;
  readonly #pacemaker: Pacemaker;
  readonly #held = new HeldCertificates();
  readonly #lanes: Lanes;
  readonly #chain: Chain;

  #view: View = 1;
  #round: Round;
  /** The certificate on which the current view was entered; none in view 1. */
  #entry: Certificate | undefined;
  /** A certificate came in or was formed since the start (R19). */
  #fresh: boolean;
  /** Proposals for the view after the current one. */
  #early: { readonly from: ValidatorIndex; readonly proposal: Proposal } | undefined;
  /** A finalization whose block is not in the tree yet. */
  #awaited: { readonly certificate: Certificate; fetchAgainAtMs: UnixMs } | undefined;
  #bodiesHeight: Height;
  #now: UnixMs;
  #out: Output[] = [];

  /** `records`: what was persisted before a restart, in order, from the last checkpoint on; empty on the first start. */
  constructor(config: ConsensusConfig, nowMs: UnixMs, records: readonly ConsensusRecord[] = []) {
    const { networkId, validatorSet, self, scheme, options } = config;
    this.#config = config;
    this.#now = nowMs;
    this.#leaders = new LeaderSchedule(validatorSet);
    this.#quorum = quorumWeight(totalWeight(validatorSet));
    this.#signer = new Signer(networkId, validatorSet.epoch, self, scheme);
    this.#tally = new Tally(networkId, validatorSet, this.#quorum, scheme);
    this.#pacemaker = new Pacemaker(options, validatorSet, this.#quorum, self, nowMs);
    const block = genesisBlock(networkId, config.genesisTimeMs);
    this.#genesis = { block, certificate: genesisCertificate(validatorSet.validators.length, blockHash(block.header)) };

    const start = records.findLast((record) => record.type === 'checkpoint')?.checkpoint;
    const tips: readonly LaneTip[] = start?.laneTips ?? emptyTips(validatorSet);
    this.#chain = new Chain(start?.finalized ?? block, tips, start?.finalization ?? this.#genesis.certificate);
    this.#lanes = new Lanes(validatorSet, faultyWeight(totalWeight(validatorSet)), tips);
    this.#bodiesHeight = this.#chain.head.block.header.height;
    this.#restore(start, records);
    // Nobody can hold a certificate yet when nothing was ever voted or certified: the first view of a new network is fresh.
    this.#fresh = records.length === 0;
    this.#round = newRound(nowMs);
  }

  get status(): ConsensusStatus {
    const { header } = this.#chain.head.block;
    return {
      view: this.#view,
      leader: this.#leader,
      finalHeight: header.height,
      finalView: header.view,
      sawHead: this.#entry !== undefined && this.#fresh && this.#awaited === undefined,
      delayMs: this.#pacemaker.delayMs,
    };
  }

  /** The state that must survive, to start a new run of records with (`ConsensusRecord` of type checkpoint). */
  checkpoint(): Checkpoint {
    const { head, finalization } = this.#chain;
    return {
      finalized: head.block,
      finalization,
      laneTips: head.tips,
      blocks: this.#chain
        .above()
        .filter(({ persisted }) => persisted)
        .map(({ block }) => block),
      certificates: this.#held.all(),
      votes: this.#signer.votesAbove(head.block.header.view),
    };
  }

  /** The next place in this node's own lane on the final head: where a restarted lane goes on at the earliest. */
  laneTip(author: ValidatorIndex): LaneTip {
    return this.#chain.head.tips[author]!;
  }

  /** The last final block. */
  get finalBlock(): Block {
    return this.#chain.head.block;
  }

  /** A block above the final head, or the final head itself: what peers ask for by hash. */
  block(hash: BlockHash): Block | undefined {
    return this.#chain.get(hash)?.block;
  }

  step(nowMs: UnixMs, input: Input): Output[] {
    this.#now = nowMs;
    this.#out = [];
    switch (input.type) {
      case 'start':
        this.#enterRound();
        break;
      case 'message':
        this.#pacemaker.heard(input.from, nowMs);
        this.#onMessage(input.from, input.message);
        break;
      case 'peerConnected':
        this.#resend(input.peer);
        break;
      case 'batchStored':
        this.#lanes.store(input.batch, nowMs);
        break;
      case 'acknowledged':
        this.#pacemaker.heard(input.from, nowMs);
        for (const acknowledgement of input.acknowledgements) this.#lanes.acknowledge(input.from, acknowledgement);
        break;
      case 'blockFetched':
        this.#onBlockFetched(input.from, input.block);
        break;
      case 'rangeFetched':
        this.#onRangeFetched(input.from, input.blocks, input.certificate);
        break;
      case 'bodiesComplete':
        this.#bodiesHeight = Math.max(this.#bodiesHeight, input.height);
        break;
      case 'tick':
        break;
    }
    this.#proceed();
    return this.#out;
  }

  // ---------------------------------------------------------------- messages

  #onMessage(from: ValidatorIndex, message: ConsensusMessage): void {
    switch (message.type) {
      case 'proposal':
        return this.#onProposal(from, message.proposal);
      case 'vote':
        return this.#onVote(from, message.vote);
      case 'certificate':
        this.#onCertificate(from, message.certificate);
    }
  }

  /** Section 5: the channel's identity is the signer; at quorum weight the votes become a certificate. */
  #onVote(from: ValidatorIndex, vote: Vote): void {
    if (vote.signer !== from) return this.#misbehaved(from, `sent a vote of validator ${vote.signer}`);
    if (vote.epoch !== this.#config.validatorSet.epoch) return;
    if (!this.#inVoteWindow(vote.view)) return;
    this.#count(vote);
    // R13: the leader's own nullify ends its view.
    if (vote.kind === VoteKind.nullify && vote.view === this.#view && from === this.#leader)
      this.#round.abandoned = true;
  }

  /** R23: votes only for views up to the next one, above the final one, and not too far back. */
  #inVoteWindow(view: View): boolean {
    return view <= this.#view + 1 && view > this.#finalView && view > this.#view - VOTE_WINDOW_VIEWS;
  }

  #count(vote: Vote): void {
    if (this.#isHeld(vote)) return;
    const { certificate, evidence, forgers } = this.#tally.add(vote);
    if (evidence) this.#out.push({ type: 'evidence', evidence });
    for (const forger of forgers) this.#misbehaved(forger, `signed a vote of view ${vote.view} badly`);
    if (certificate) this.#accept(certificate);
  }

  /** Whether a certificate for this content is held, so that its votes have done their work. */
  #isHeld({ kind, view, blockHash }: Pick<Certificate, 'kind' | 'view' | 'blockHash'>): boolean {
    if (view <= this.#finalView) return true;
    if (kind === VoteKind.finalize) {
      const awaited = this.#awaited?.certificate;
      return awaited !== undefined && awaited.view >= view;
    }
    const held = kind === VoteKind.nullify ? this.#held.nullification(view) : this.#held.notarization(view);
    return held !== undefined && equalBytes(held.blockHash, blockHash);
  }

  /** Certificates are taken for any view. One that is held already is never verified again. */
  #onCertificate(from: ValidatorIndex, certificate: Certificate): boolean {
    if (certificate.epoch !== this.#config.validatorSet.epoch) return false;
    if (this.#isHeld(certificate)) {
      this.#seeFresh(certificate);
      return true;
    }
    const fault = certificateFault(certificate, { ...this.#config, quorum: this.#quorum });
    if (fault) {
      this.#misbehaved(from, `sent a certificate of view ${certificate.view} that is ${fault}`);
      return false;
    }
    this.#accept(certificate);
    return true;
  }

  /** R19: the certificate on which the current view stands was seen again since the start. */
  #seeFresh(certificate: Certificate): void {
    if (certificate.view === this.#view - 1) this.#fresh = true;
  }

  /** A certificate that is valid and new, received or formed. */
  #accept(certificate: Certificate): void {
    this.#persist({ type: 'certificate', certificate });
    this.#send({ type: 'certificate', certificate }); // relayed once: it is new only once
    switch (certificate.kind) {
      case VoteKind.notarize:
        return this.#onNotarization(certificate);
      case VoteKind.nullify:
        return this.#onNullification(certificate);
      case VoteKind.finalize:
        return this.#onFinalization(certificate);
    }
  }

  // ---------------------------------------------------------------- R12 to R15: certificates

  /** R12. */
  #onNotarization(certificate: Certificate): void {
    const { view, blockHash: hash } = certificate;
    this.#held.hold(certificate);
    if (view === this.#view) {
      const votedAtMs = this.#round.notarizedAtMs;
      this.#pacemaker.certified(votedAtMs === undefined ? undefined : this.#now - votedAtMs);
    }
    const known = this.#chain.get(toHex(hash));
    if (known) this.#certified(known);
    this.#cast(this.#signer.finalize(view, hash));
    this.#enterView(view + 1, certificate);
    if (!known) this.#fetchBlock(hash, signersOf(certificate));
  }

  /** R14. It does not undo a notarization that is held. */
  #onNullification(certificate: Certificate): void {
    this.#held.hold(certificate);
    if (certificate.view === this.#view) this.#pacemaker.uncertified();
    this.#enterView(certificate.view + 1, certificate);
  }

  /** R15. */
  #onFinalization(certificate: Certificate): void {
    this.#enterView(certificate.view + 1, certificate);
    this.#awaited = { certificate, fetchAgainAtMs: this.#now };
    this.#finalizeAwaited();
  }

  #finalizeAwaited(): void {
    if (!this.#awaited) return;
    const { certificate } = this.#awaited;
    const hash: BlockHash = toHex(certificate.blockHash);
    if (!this.#chain.pathFromHead(hash)) return; // fetched by #proceed
    this.#awaited = undefined;
    const path = this.#chain.finalize(hash, certificate);
    for (const block of path) this.#persistBlock(block);
    const { view, height } = this.#chain.head.block.header;
    this.#persist({ type: 'finalized', hash, height, certificate });
    this.#forgetBelow(view);
    this.#out.push({ type: 'final', blocks: path.map(({ block }) => block), certificate });
  }

  #forgetBelow(finalView: View): void {
    this.#held.prune(finalView);
    this.#signer.prune(finalView);
    this.#tally.pruneBelow(Math.max(finalView + 1, this.#view - VOTE_WINDOW_VIEWS));
    this.#lanes.prune(this.#chain.head.tips);
  }

  /** A block that is notarized and known: kept, and announced as soft after its ancestors. */
  #certified(certified: ChainBlock): void {
    for (const block of this.#chain.pathFromHead(certified.hash) ?? []) {
      const certificate = this.#held.notarization(block.block.header.view);
      if (block.announced || !certificate || toHex(certificate.blockHash) !== block.hash) continue;
      this.#persistBlock(block);
      block.announced = true;
      this.#out.push({ type: 'soft', block: block.block, certificate });
    }
  }

  // ---------------------------------------------------------------- R9: views

  #enterView(view: View, certificate: Certificate): void {
    if (view <= this.#view) return this.#seeFresh(certificate);
    this.#view = view;
    this.#entry = certificate;
    this.#fresh = true;
    this.#tally.pruneBelow(Math.max(this.#finalView + 1, view - VOTE_WINDOW_VIEWS));
    this.#enterRound();
    const early = this.#early;
    this.#early = undefined;
    if (early?.proposal.block.header.view === view) this.#onProposal(early.from, early.proposal);
  }

  #enterRound(): void {
    this.#round = newRound(this.#now);
    this.#out.push({ type: 'enteredView', view: this.#view, leader: this.#leader });
  }

  // ---------------------------------------------------------------- R11: proposals

  #onProposal(from: ValidatorIndex, proposal: Proposal): void {
    const { header } = proposal.block;
    if (header.view < this.#view || header.view > this.#view + 1) return;
    if (header.epoch !== this.#config.validatorSet.epoch) return;
    if (from !== this.#leaders.leaderAt(header.view)) {
      return this.#misbehaved(from, `proposed in view ${header.view}, which it does not lead`);
    }
    if (header.view === this.#view + 1 && !this.#justifiesEntry(from, proposal)) {
      this.#early = { from, proposal };
      return;
    }
    if (header.view !== this.#view || this.#round.own) return;
    const vote = leaderVote(proposal);
    if (this.#round.proposal) return this.#count(vote); // a second one counts only against its leader (E1)
    const fault = proposalFault(proposal, {
      networkId: this.#config.networkId,
      epoch: this.#config.validatorSet.epoch,
      leaders: this.#leaders,
    });
    if (!this.#tally.isSigned(vote)) {
      return this.#misbehaved(from, `signed its proposal of view ${header.view} badly`);
    }
    if (fault) {
      this.#round.abandoned = true; // R13: structurally wrong
      return this.#misbehaved(from, `proposed a block of view ${header.view} that is wrong: ${fault}`);
    }
    this.#round.proposal = { proposal, hash: toHex(vote.blockHash), receivedAtMs: this.#now };
    this.#chain.add(proposal.block);
    const round = this.#round;
    if (!this.#takeJustification(from, proposal)) {
      round.abandoned = true;
      return;
    }
    this.#count(vote);
  }

  /** Enters the proposal's view by the certificates that it carries; false if they do not lead there. */
  #justifiesEntry(from: ValidatorIndex, proposal: Proposal): boolean {
    const before = this.#view;
    const last = proposal.skips.at(-1) ?? proposal.parentCertificate;
    if (last.view !== before) return false;
    this.#onCertificate(from, last);
    return this.#view === before + 1;
  }

  /** The parent's certificate and the nullifications of a proposal, each verified unless held (R8, R11). */
  #takeJustification(from: ValidatorIndex, { parentCertificate, skips }: Proposal): boolean {
    if (!this.#isGenesis(parentCertificate) && !this.#onCertificate(from, parentCertificate)) return false;
    return skips.every((skip) => this.#onCertificate(from, skip));
  }

  #isGenesis(certificate: Certificate): boolean {
    return certificate.view === 0 && equalBytes(certificate.blockHash, this.#genesis.certificate.blockHash);
  }

  /** R11: votes for the current view's proposal once everything about it is known and right. */
  #judgeProposal(): void {
    const round = this.#round;
    const { proposal: received } = round;
    if (!received || round.notarizedAtMs !== undefined || round.abandoned || this.#self === undefined) return;
    const { proposal, hash } = received;
    const { header, refs } = proposal.block;
    if (!this.#chain.get(hash)) this.#chain.add(proposal.block);
    const parent = this.#chain.get(toHex(header.parentHash));
    if (!parent) {
      // The parent is certified but not known: its signers hold it.
      if (header.parentView >= this.#finalView)
        return this.#fetchBlock(header.parentHash, signersOf(proposal.parentCertificate));
      return this.#abandon('it forks off below the final block');
    }
    const above = parent.block.header;
    if (header.height !== above.height + 1)
      return this.#abandon(`height ${header.height} on a parent of height ${above.height}`);
    if (header.timestampMs < above.timestampMs) return this.#abandon('it is older than its parent');
    if (header.l1AnchorNumber !== above.l1AnchorNumber || !equalBytes(header.l1AnchorHash, above.l1AnchorHash)) {
      return this.#abandon('its L1 anchor is none that this network follows');
    }
    const verdict = this.#lanes.judge(header.view, refs, parent.tips);
    if (verdict.verdict === 'invalid') return this.#abandon(verdict.reason);
    if (header.timestampMs > this.#now + MAX_CLOCK_DRIFT_MS) return; // looked at again when the clock has come closer
    if (verdict.verdict === 'missing') {
      if (this.#mayFetch()) {
        const holders = [header.leader, ...new Set(verdict.refs.map(({ author }) => author))];
        this.#out.push({ type: 'fetchBatches', refs: verdict.refs, holders: [...new Set(holders)] });
      }
      return;
    }
    if (this.#lagsInBodies) return; // R21
    const vote = this.#signer.notarize(header.view, fromHex(hash));
    if (!vote) return;
    const block = this.#chain.get(hash);
    if (block) this.#persistBlock(block);
    round.notarizedAtMs = this.#now;
    this.#cast(vote);
  }

  #abandon(reason: string): void {
    this.#round.abandoned = true;
    this.#misbehaved(this.#leader, `proposed a block of view ${this.#view} that is wrong: ${reason}`);
  }

  // ---------------------------------------------------------------- R10: proposing

  /** The highest certified view below the current one from which every view is nullified, and its block. */
  #parent():
    | { readonly block: ChainBlock; readonly certificate: Certificate; readonly skips: Certificate[] }
    | undefined {
    for (const view of [...this.#held.notarizedBelow(this.#view), this.#finalView]) {
      const skips = this.#held.nullifiedBetween(view, this.#view);
      if (!skips) return undefined; // what lies lower skips this view too
      const certificate = view === this.#finalView ? this.#chain.finalization : this.#held.notarization(view)!;
      const block = this.#chain.get(toHex(certificate.blockHash));
      if (block) return { block, certificate, skips };
      if (this.#mayFetch()) this.#fetchBlock(certificate.blockHash, signersOf(certificate));
      return undefined;
    }
    return undefined;
  }

  #propose(): void {
    const round = this.#round;
    if (this.#self === undefined || this.#leader !== this.#self || round.own || round.abandoned) return;
    if (!this.#fresh || this.#lagsInBodies) return; // R19, R21
    const parent = this.#parent();
    if (!parent) return;
    const { heartbeatMs } = this.#config.options;
    const refs = this.#lanes.collect(this.#view, parent.block.tips, this.#now, this.#pacemaker.delayMs);
    if (refs.length === 0 && this.#now < round.enteredAtMs + heartbeatMs) return; // R18
    const above = parent.block.block.header;
    const block: Block = {
      header: {
        version: BLOCK_VERSION,
        networkId: this.#config.networkId,
        epoch: this.#config.validatorSet.epoch,
        view: this.#view,
        height: above.height + 1,
        parentView: above.view,
        parentHash: fromHex(parent.block.hash),
        leader: this.#self,
        timestampMs: Math.max(this.#now, above.timestampMs),
        l1AnchorNumber: above.l1AnchorNumber,
        l1AnchorHash: above.l1AnchorHash,
        refsRoot: BatchRefs.hashTreeRoot(refs),
        skipsRoot: SkipCertificates.hashTreeRoot(parent.skips),
        nextValidatorSetHash: ZERO_HASH,
      },
      refs,
    };
    const vote = this.#signer.notarize(this.#view, blockHash(block.header));
    if (!vote) return;
    this.#chain.add(block);
    this.#persistBlock(this.#chain.get(toHex(vote.blockHash))!);
    this.#persist({ type: 'vote', vote });
    round.own = {
      block,
      parentCertificate: parent.certificate,
      skips: parent.skips,
      leaderSignature: vote.signature,
    };
    round.notarizedAtMs = this.#now;
    round.sentAtMs = this.#now;
    this.#send({ type: 'proposal', proposal: round.own });
    this.#count(vote);
  }

  // ---------------------------------------------------------------- R13, R17, R18: time

  /** R18: until when the leader may wait for something to order; not when this node holds an old batch to be ordered. */
  #graceEndsMs(): UnixMs {
    const { enteredAtMs } = this.#round;
    const idle = enteredAtMs + this.#config.options.heartbeatMs;
    const parent = this.#parentTips();
    const oldest = parent && this.#lanes.oldestUnorderedMs(parent);
    if (oldest === undefined) return idle;
    return Math.min(idle, Math.max(enteredAtMs, oldest + this.#pacemaker.delayMs));
  }

  /** Lane tips after the highest certified block that is known. */
  #parentTips(): readonly LaneTip[] {
    for (const view of this.#held.notarizedBelow(this.#view)) {
      const block = this.#chain.get(toHex(this.#held.notarization(view)!.blockHash));
      if (block) return block.tips;
    }
    return this.#chain.head.tips;
  }

  /** When this view is given up: 2D for the leader to propose, then 3D for a certificate. */
  #timeoutMs(): UnixMs {
    const { proposal, own } = this.#round;
    const delayMs = this.#pacemaker.delayMs;
    if (own) return this.#round.notarizedAtMs! + 3 * delayMs;
    if (proposal) return proposal.receivedAtMs + 3 * delayMs;
    return this.#graceEndsMs() + 2 * delayMs;
  }

  /** R13. */
  #nullifyIfDue(): void {
    const round = this.#round;
    const due =
      round.abandoned ||
      this.#now >= this.#timeoutMs() ||
      (!round.proposal && this.#pacemaker.isInactive(this.#leader, this.#now));
    if (due) this.#cast(this.#signer.nullify(this.#view));
  }

  // ---------------------------------------------------------------- what the state allows

  #proceed(): void {
    // Each pass may complete a certificate and enter the next view, in which there is more to do; alone, a validator
    // would go on for ever, but for the wait of an idle leader.
    for (let view = 0; view !== this.#view; ) {
      view = this.#view;
      this.#finalizeAwaited();
      this.#judgeProposal();
      if (view === this.#view) this.#propose();
      if (view === this.#view) this.#nullifyIfDue();
    }
    this.#retry();
    this.#fetchAwaited();
    this.#out.push({ type: 'wakeAt', atMs: this.#wakeAtMs() });
  }

  /** What was sent in this view and brought no certificate is sent again. */
  #retry(): void {
    if (this.#now < this.#retryAtMs()) return;
    this.#resend(undefined);
    this.#round.sentAtMs = this.#now;
  }

  #retryAtMs(): UnixMs {
    return (this.#round.sentAtMs ?? this.#timeoutMs()) + this.#pacemaker.retryMs;
  }

  #resend(to: ValidatorIndex | undefined): void {
    if (this.#finalView > 0) this.#send({ type: 'certificate', certificate: this.#chain.finalization }, to);
    if (this.#entry) this.#send({ type: 'certificate', certificate: this.#entry }, to);
    if (this.#self === undefined) return;
    if (this.#round.own) this.#send({ type: 'proposal', proposal: this.#round.own }, to);
    for (const vote of this.#signer.votesIn(this.#view)) this.#send({ type: 'vote', vote }, to);
    const [notarized] = this.#held.notarizedBelow(this.#view);
    if (notarized === undefined) return;
    for (const vote of this.#signer.votesIn(notarized)) {
      if (vote.kind === VoteKind.finalize) this.#send({ type: 'vote', vote }, to);
    }
  }

  #wakeAtMs(): UnixMs {
    const round = this.#round;
    const times = [this.#retryAtMs()];
    const voted =
      this.#self !== undefined && this.#signer.votesIn(this.#view).some(({ kind }) => kind === VoteKind.nullify);
    if (!voted) times.push(this.#timeoutMs());
    if (this.#leader === this.#self && !round.own) {
      times.push(round.enteredAtMs + this.#config.options.heartbeatMs);
      const collectable = this.#lanes.nextCollectableMs(this.#parentTips(), this.#now, this.#pacemaker.delayMs);
      if (collectable !== undefined) times.push(collectable);
    }
    const timestampMs = round.proposal?.proposal.block.header.timestampMs;
    if (timestampMs !== undefined && timestampMs > this.#now + MAX_CLOCK_DRIFT_MS)
      times.push(timestampMs - MAX_CLOCK_DRIFT_MS);
    if (this.#awaited) times.push(this.#awaited.fetchAgainAtMs);
    if (round.fetchAgainAtMs > this.#now) times.push(round.fetchAgainAtMs);
    const future = times.filter((time) => time > this.#now);
    return future.length > 0 ? Math.min(...future) : this.#now + this.#config.options.retryMs;
  }

  // ---------------------------------------------------------------- R21: what is missing

  #mayFetch(): boolean {
    if (this.#now < this.#round.fetchAgainAtMs) return false;
    this.#round.fetchAgainAtMs = this.#now + this.#pacemaker.retryMs;
    return true;
  }

  #fetchBlock(hash: Uint8Array, holders: readonly ValidatorIndex[]): void {
    const wanted = this.#chain.missingAncestor(toHex(hash)) ?? toHex(hash);
    if (this.#chain.get(wanted)) return;
    this.#out.push({ type: 'fetchBlock', hash: fromHex(wanted), holders });
  }

  #onBlockFetched(from: ValidatorIndex, block: Block): void {
    if (!refsMatch(block)) return this.#misbehaved(from, 'answered with a block whose refs are not its own');
    const { header } = block;
    if (header.epoch !== this.#config.validatorSet.epoch || !equalBytes(header.networkId, this.#config.networkId))
      return;
    const joined = this.#chain.add(block);
    for (const known of joined) {
      const certificate = this.#held.notarization(known.block.header.view);
      if (certificate && toHex(certificate.blockHash) === known.hash) this.#certified(known);
    }
    const missing = this.#chain.missingAncestor(toHex(blockHash(header)));
    if (missing) this.#out.push({ type: 'fetchBlock', hash: fromHex(missing), holders: [from] });
  }

  /** A finalization is held whose block is not: fetched by range from the final head on, again and again. */
  #fetchAwaited(): void {
    const awaited = this.#awaited;
    if (!awaited || this.#now < awaited.fetchAgainAtMs) return;
    awaited.fetchAgainAtMs = this.#now + this.#pacemaker.retryMs;
    const holders = signersOf(awaited.certificate).filter((signer) => signer !== this.#self);
    this.#out.push({ type: 'fetchRange', fromHeight: this.#chain.head.block.header.height + 1, holders });
  }

  #onRangeFetched(from: ValidatorIndex, blocks: readonly Block[], certificate: Certificate): void {
    const head = this.#chain.head;
    const fresh = blocks.filter(({ header }) => header.height > head.block.header.height);
    if (fresh.length === 0 || blocks.length > MAX_BLOCKS_PER_RANGE) return;
    let parent: Uint8Array = fromHex(head.hash);
    for (const block of fresh) {
      if (!equalBytes(block.header.parentHash, parent) || !refsMatch(block)) {
        return this.#misbehaved(
          from,
          `answered with a block of height ${block.header.height} that does not follow the final ones`,
        );
      }
      parent = blockHash(block.header);
    }
    if (certificate.kind !== VoteKind.finalize || !equalBytes(certificate.blockHash, parent)) {
      return this.#misbehaved(from, 'answered with blocks that its certificate does not finalize');
    }
    const awaited = this.#awaited?.certificate;
    if (!awaited || !equalBytes(awaited.blockHash, certificate.blockHash)) {
      const fault = certificateFault(certificate, { ...this.#config, quorum: this.#quorum });
      if (fault) return this.#misbehaved(from, `answered with a finalization that is ${fault}`);
    }
    for (const block of fresh) this.#chain.add(block);
    const target = this.#awaited;
    this.#awaited = { certificate, fetchAgainAtMs: this.#now };
    this.#finalizeAwaited();
    this.#enterView(certificate.view + 1, certificate);
    // There may be more to fetch, up to the finalization that started it.
    if (target && target.certificate.view > this.#finalView) this.#awaited = { ...target, fetchAgainAtMs: this.#now };
    else if (this.#awaited?.certificate === certificate) this.#awaited = undefined;
  }

  get #lagsInBodies(): boolean {
    return this.#chain.head.block.header.height - this.#bodiesHeight > MAX_BODY_LAG_BLOCKS;
  }

  // ---------------------------------------------------------------- restart

  #restore(start: Checkpoint | undefined, records: readonly ConsensusRecord[]): void {
    for (const block of start?.blocks ?? []) this.#restoreBlock(block);
    for (const certificate of start?.certificates ?? []) this.#restoreCertificate(certificate);
    for (const vote of start?.votes ?? []) this.#signer.remember(vote);
    const after = records.findLastIndex((record) => record.type === 'checkpoint') + 1;
    for (const record of records.slice(after)) {
      switch (record.type) {
        case 'vote':
          this.#signer.remember(record.vote);
          break;
        case 'block':
          this.#restoreBlock(record.block);
          break;
        case 'certificate':
          this.#restoreCertificate(record.certificate);
          break;
        case 'finalized':
          this.#chain.finalize(record.hash, record.certificate);
          this.#restoreCertificate(record.certificate);
          this.#forgetBelow(this.#finalView);
          break;
        case 'checkpoint':
          break;
      }
    }
    this.#restoreCertificate(this.#chain.finalization);
    this.#forgetBelow(this.#finalView);
    if (this.#awaited && this.#awaited.certificate.view <= this.#finalView) this.#awaited = undefined;
  }

  #restoreBlock(block: Block): void {
    for (const known of this.#chain.add(block)) known.persisted = true;
  }

  #restoreCertificate(certificate: Certificate): void {
    if (certificate.kind === VoteKind.finalize) {
      const awaited = this.#awaited?.certificate.view ?? 0;
      if (certificate.view > Math.max(awaited, this.#finalView))
        this.#awaited = { certificate, fetchAgainAtMs: this.#now };
    } else if (certificate.view > this.#finalView) {
      this.#held.hold(certificate);
    }
    if (certificate.view >= this.#view) {
      this.#view = certificate.view + 1;
      this.#entry = certificate;
    }
  }

  // ---------------------------------------------------------------- small things

  get #self(): ValidatorIndex | undefined {
    return this.#config.self;
  }

  get #leader(): ValidatorIndex {
    return this.#leaders.leaderAt(this.#view);
  }

  get #finalView(): View {
    return this.#chain.head.block.header.view;
  }

  /** Sends an own vote once it is durable, and counts it. */
  #cast(vote: Vote | undefined): void {
    if (!vote) return;
    this.#persist({ type: 'vote', vote });
    this.#send({ type: 'vote', vote });
    if (vote.view === this.#view) this.#round.sentAtMs = this.#now;
    this.#count(vote);
  }

  #persistBlock(block: ChainBlock): void {
    if (block.persisted) return;
    block.persisted = true;
    this.#persist({ type: 'block', block: block.block });
  }

  #persist(record: ConsensusRecord): void {
    this.#out.push({ type: 'persist', record });
  }

  #send(message: ConsensusMessage, to?: ValidatorIndex): void {
    this.#out.push({ type: 'send', to, message });
  }

  #misbehaved(peer: ValidatorIndex, reason: string): void {
    if (peer !== this.#self) this.#out.push({ type: 'misbehaved', peer, reason });
  }
}

function newRound(nowMs: UnixMs): Round {
  return { enteredAtMs: nowMs, abandoned: false, fetchAgainAtMs: 0 };
}

/** The leader's NOTARIZE, which a proposal carries. */
function leaderVote({ block, leaderSignature }: Proposal): Vote {
  const { epoch, view, leader } = block.header;
  return {
    kind: VoteKind.notarize,
    epoch,
    view,
    blockHash: blockHash(block.header),
    signer: leader,
    signature: leaderSignature,
  };
}
