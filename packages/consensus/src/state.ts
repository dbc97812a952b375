/** The state of the core, and the outputs of the step under way. Written by the functions of the files beside it, and by nobody else. */

import {
  type Block,
  type BlockHash,
  type Bytes32,
  blockHash,
  type Certificate,
  type ConsensusMessage,
  faultyWeight,
  genesisBlock,
  genesisCertificate,
  type HandOverProof,
  type Height,
  LeaderSchedule,
  MAX_BODY_LAG_BLOCKS,
  type Proposal,
  quorumWeight,
  toHex,
  totalWeight,
  type UnixMs,
  type ValidatorIndex,
  type View,
  type Weight,
} from '@squad/types';
import type { Checkpoint, ConsensusConfig, ConsensusRecord, Output } from './api.ts';
import { HeldCertificates } from './certificates.ts';
import { Chain, type ChainBlock } from './chain.ts';
import { L1Blocks } from './l1-blocks.ts';
import { emptyTips, Lanes, type LaneTip } from './lanes.ts';
import { Pacemaker } from './pacemaker.ts';
import type { PendingRelay } from './relay.ts';
import { Signer } from './signer.ts';
import { Tally } from './tally.ts';
import { Watch } from './watch.ts';

/** What happened so far in the current view. */
export interface Round {
  readonly enteredAtMs: UnixMs;
  /** The leader's proposal, its form and its certificates checked. */
  proposal: { readonly proposal: Proposal; readonly hash: BlockHash; readonly receivedAtMs: UnixMs } | undefined;
  /** The proposal was found wrong, or the leader nullified: an immediate timeout. */
  abandoned: boolean;
  /** Data that was asked for, and when it may be asked for again. */
  fetchAgainAtMs: UnixMs;
  notarizedAtMs: UnixMs | undefined;
  /** When something of this view was last sent. */
  sentAtMs: UnixMs | undefined;
  /** The own proposal, to be sent again. */
  own: Proposal | undefined;
}

export class State {
  readonly config: ConsensusConfig;
  readonly leaders: LeaderSchedule;
  readonly quorum: Weight;
  /** What the epoch starts after, as a block of its view 0, and what stands for its certificate. */
  readonly root: { readonly block: Block; readonly certificate: Certificate };
  /** Height of the epoch's boundary block; infinite if the epoch has no end. */
  readonly lastHeight: Height;
  readonly signer: Signer;
  readonly tally: Tally;
  readonly watch: Watch;
  readonly pacemaker: Pacemaker;
  readonly held: HeldCertificates = new HeldCertificates();
  readonly lanes: Lanes;
  readonly chain: Chain;
  readonly l1: L1Blocks = new L1Blocks();

  view: View = 1;
  round: Round;
  /** When the proposal of the view before this one came or was made; undefined: there was none. */
  lastProposalAtMs: UnixMs | undefined;
  /** The certificate on which the current view was entered; none in view 1. */
  entry: Certificate | undefined;
  /** A certificate came in or was formed since the start (R19). */
  fresh = false;
  /** A proposal for the view after the current one. */
  early: { readonly from: ValidatorIndex; readonly proposal: Proposal } | undefined;
  /** A finalization whose block is not in the tree yet. */
  awaited: { readonly certificate: Certificate; fetchAgainAtMs: UnixMs } | undefined;
  /** Certificates that are to be relayed, unless others turn out to hold them. */
  readonly pending: { notarization: PendingRelay | undefined; finalization: PendingRelay | undefined } = {
    notarization: undefined,
    finalization: undefined,
  };
  /** By validator: the highest view of which it sent a finalization. */
  readonly shownFinalViews: View[];
  /** Where the next part of a long justification begins when it is sent again. */
  resent = 0;
  /** A verified proof that the epoch is over; blocks up to its boundary may be missing here (R22). */
  handOver: HandOverProof | undefined;
  handOverAgainAtMs: UnixMs = 0;
  /** When each peer was last told that an epoch is over. */
  readonly answeredAtMs: Map<ValidatorIndex, UnixMs> = new Map();
  /** The epoch is over: nothing more is voted, kept or sent, but for the proof of it. */
  ended: { readonly block: Block; readonly proof: HandOverProof } | undefined;
  /** Leaders whose last boundary block named another next set than was known here, and its hash (R22). */
  readonly otherNextSets: Map<ValidatorIndex, Bytes32> = new Map();
  /** Undefined until the driver has said how far the bodies are complete. */
  bodiesHeight: Height | undefined;
  now: UnixMs;
  out: Output[] = [];

  /** At genesis, or at a checkpoint of an earlier run. */
  constructor(config: ConsensusConfig, nowMs: UnixMs, start: Checkpoint | undefined) {
    const { networkId, validatorSet, self, scheme, options } = config;
    const total = totalWeight(validatorSet);
    this.config = config;
    this.now = nowMs;
    this.leaders = new LeaderSchedule(validatorSet);
    this.quorum = quorumWeight(total);
    this.signer = new Signer(networkId, validatorSet.epoch, self, scheme);
    this.tally = new Tally(networkId, validatorSet, this.quorum, scheme);
    this.watch = new Watch(networkId, validatorSet, scheme);
    this.pacemaker = new Pacemaker(options, validatorSet, this.quorum, self, nowMs);
    const block = config.epoch?.startsAfter ?? genesisBlock(networkId, config.genesisTimeMs);
    const { epoch, validators } = validatorSet;
    this.root = { block, certificate: genesisCertificate(validators.length, blockHash(block.header), epoch) };
    this.lastHeight = config.epoch?.lastHeight ?? Number.POSITIVE_INFINITY;
    const tips: readonly LaneTip[] = start?.laneTips ?? emptyTips(validatorSet);
    const head = start?.finalized ?? block;
    const view = head.header.height === block.header.height ? 0 : head.header.view;
    this.chain = new Chain(head, view, tips, start?.finalization ?? this.root.certificate);
    this.lanes = new Lanes(validatorSet, faultyWeight(total), tips);
    this.bodiesHeight = undefined;
    this.round = newRound(nowMs);
    this.shownFinalViews = validatorSet.validators.map(() => 0);
  }

  get self(): ValidatorIndex | undefined {
    return this.config.self;
  }

  get leader(): ValidatorIndex {
    return this.leaders.leaderAt(this.view);
  }

  get finalView(): View {
    return this.chain.head.view;
  }

  /** R21: too many final blocks' bodies are missing here to vouch for more. Nothing is taken for granted before the driver's word. */
  get lagsInBodies(): boolean {
    return this.chain.head.block.header.height - (this.bodiesHeight ?? 0) > MAX_BODY_LAG_BLOCKS;
  }

  persistBlock(block: ChainBlock): void {
    if (block.persisted) return;
    block.persisted = true;
    this.persist({ type: 'block', block: block.block });
  }

  /** With all that it is built on: certificates of these may not be held here, and after a restart it is worth nothing without. */
  persistWithAncestors(block: ChainBlock): void {
    const missing: ChainBlock[] = [];
    for (let at: ChainBlock | undefined = block; at && !at.persisted; ) {
      missing.push(at);
      at = this.chain.get(toHex(at.block.header.parentHash));
    }
    for (const each of missing.reverse()) this.persistBlock(each);
  }

  persist(record: ConsensusRecord): void {
    if (!this.ended) this.out.push({ type: 'persist', record });
  }

  send(message: ConsensusMessage, to?: ValidatorIndex): void {
    if (!this.ended) this.out.push({ type: 'send', to, message });
  }

  /** `peer` undefined: none of this epoch's set, of which the core knows nothing. */
  misbehaved(peer: ValidatorIndex | undefined, reason: string): void {
    if (peer !== undefined && peer !== this.self) this.out.push({ type: 'misbehaved', peer, reason });
  }
}

export function newRound(nowMs: UnixMs): Round {
  return {
    enteredAtMs: nowMs,
    proposal: undefined,
    abandoned: false,
    fetchAgainAtMs: 0,
    notarizedAtMs: undefined,
    sentAtMs: undefined,
    own: undefined,
  };
}
