/** One core under test, and all that the other validators could send to it, made with their keys. */

import {
  type BatchRef,
  BatchRefs,
  BLOCK_VERSION,
  type Block,
  type BlockHeader,
  blockHash,
  type Certificate,
  genesisBlock,
  genesisCertificate,
  type L1BlockId,
  LeaderSchedule,
  NO_L1_ANCHOR,
  type Proposal,
  SkipCertificates,
  signerBits,
  toHex,
  type ValidatorIndex,
  type ValidatorSet,
  type View,
  type Vote,
  VoteKind,
  voteSigningRoot,
  ZERO_HASH,
} from '@squad/types';
import { type CountedScheme, SignatureRegistry } from '../sim/mock-scheme.ts';
import {
  type ConsensusOptions,
  type ConsensusRecord,
  DEFAULT_CONSENSUS_OPTIONS,
  type EpochConfig,
  type HeldBatch,
  type Input,
  type Output,
} from '../src/api.ts';
import { Consensus } from '../src/core.ts';

export const START_MS = 1_700_000_000_000;
export const NETWORK_ID: Uint8Array = new Uint8Array(32).fill(9);

export interface FixtureOptions {
  readonly weights?: readonly number[];
  /** The view whose leader is the node under test. */
  readonly leaderOf?: View;
  /** A view that the node under test does not lead. Ignored if `leaderOf` is given. */
  readonly observer?: boolean;
  readonly options?: Partial<ConsensusOptions>;
  /** Of two fixtures that share one, either's signatures are genuine to the other. */
  readonly registry?: SignatureRegistry;
  /** The genesis file's anchor; without it the network follows no L1. */
  readonly l1Anchor?: L1BlockId;
  /** The epoch's number and its bounds; without it the set validates for ever. */
  readonly epoch?: { readonly number: number; readonly config: EpochConfig };
}

export interface ProposalParts {
  readonly view: View;
  /** Genesis if left out. */
  readonly parent?: Block;
  readonly parentCertificate?: Certificate;
  readonly skips?: Certificate[];
  readonly refs?: BatchRef[];
  readonly header?: Partial<BlockHeader>;
  readonly signer?: ValidatorIndex;
}

/** A set whose keys are all different, as those of a fit one are. */
export function setOf(epoch: number, weights: readonly number[], firstKey = 1): ValidatorSet {
  return {
    epoch,
    validators: weights.map((weight, i) => ({
      blsPublicKey: new Uint8Array(48).fill(firstKey + i),
      nodePublicKey: new Uint8Array(32).fill(firstKey + i),
      weight,
    })),
  };
}

export class Fixture {
  readonly weights: readonly number[];
  readonly leaders: LeaderSchedule;
  readonly self: ValidatorIndex | undefined;
  /** What the first block is built on. */
  readonly genesis: Block;
  readonly epoch: number;
  readonly scheme: CountedScheme;
  readonly validatorSet: ValidatorSet;
  core: Consensus;
  nowMs = START_MS;
  /** All that was put out since `take` was last called. */
  outputs: Output[] = [];
  records: ConsensusRecord[] = [];
  readonly #registry: SignatureRegistry;
  readonly #options: ConsensusOptions;
  readonly #epochConfig: EpochConfig | undefined;
  readonly #l1Anchor: L1BlockId | undefined;

  constructor({ weights = [1, 1, 1, 1], leaderOf, observer, options, epoch, registry, l1Anchor }: FixtureOptions = {}) {
    this.#l1Anchor = l1Anchor;
    this.#registry = registry ?? new SignatureRegistry(7);
    this.weights = weights;
    this.epoch = epoch?.number ?? 0;
    this.#epochConfig = epoch?.config;
    this.genesis = epoch?.config.startsAfter ?? genesisBlock(NETWORK_ID, START_MS);
    this.validatorSet = setOf(this.epoch, weights);
    this.leaders = new LeaderSchedule(this.validatorSet);
    const notFirstLeader = weights.findIndex((_, i) => i !== this.leaderAt(1) && i !== this.leaderAt(2));
    this.self = observer ? undefined : leaderOf === undefined ? Math.max(0, notFirstLeader) : this.leaderAt(leaderOf);
    this.#options = { ...DEFAULT_CONSENSUS_OPTIONS, ...options };
    this.scheme = this.#registry.schemeFor(this.self);
    this.core = this.#create();
  }

  #create(): Consensus {
    const { validatorSet, self, scheme } = this;
    const config = {
      networkId: NETWORK_ID,
      genesisTimeMs: START_MS,
      validatorSet,
      self,
      scheme,
      options: this.#options,
    };
    const epoch = this.#epochConfig;
    const l1Anchor = this.#l1Anchor;
    return new Consensus(
      { ...config, ...(epoch && { epoch }), ...(l1Anchor && { l1Anchor }) },
      this.nowMs,
      this.records,
    );
  }

  leaderAt(view: View): ValidatorIndex {
    return this.leaders.leaderAt(view);
  }

  get all(): ValidatorIndex[] {
    return this.weights.map((_, i) => i);
  }

  get others(): ValidatorIndex[] {
    return this.all.filter((i) => i !== this.self);
  }

  // ---------------------------------------------------------------- driving

  step(input: Input): Output[] {
    const outputs = this.core.step(this.nowMs, input);
    for (const output of outputs) if (output.type === 'persist') this.records.push(output.record);
    this.outputs.push(...outputs);
    return outputs;
  }

  start(): this {
    this.step({ type: 'start' });
    return this;
  }

  /** Moves the clock and ticks. */
  after(delayMs: number): Output[] {
    this.nowMs += delayMs;
    return this.step({ type: 'tick' });
  }

  /** Starts again from what was persisted; `keep`: how many of the records survived. */
  restart(keep: number = this.records.length): Output[] {
    this.records = this.records.slice(0, keep);
    this.core = this.#create();
    return this.step({ type: 'start' });
  }

  vote(signer: ValidatorIndex, kind: VoteKind, view: View, block?: Block): Vote {
    const content = { kind, epoch: this.epoch, view, blockHash: block ? blockHash(block.header) : ZERO_HASH };
    const signature = this.#registry.schemeFor(signer).sign(voteSigningRoot(NETWORK_ID, content));
    return { ...content, signer, signature };
  }

  sendVote(signer: ValidatorIndex, kind: VoteKind, view: View, block?: Block): Output[] {
    return this.sendRawVote(signer, this.vote(signer, kind, view, block));
  }

  sendRawVote(from: ValidatorIndex, vote: Vote): Output[] {
    return this.step({ type: 'message', from, message: { type: 'vote', vote } });
  }

  certificate(kind: VoteKind, view: View, block?: Block, signers: readonly ValidatorIndex[] = this.all): Certificate {
    const votes = signers.map((signer) => this.vote(signer, kind, view, block));
    return {
      kind,
      epoch: this.epoch,
      view,
      blockHash: block ? blockHash(block.header) : ZERO_HASH,
      signers: signerBits(this.weights.length, signers),
      signature: this.scheme.aggregate(votes.map((vote) => vote.signature))!,
    };
  }

  sendCertificate(certificate: Certificate, from: ValidatorIndex = this.others[0]!): Output[] {
    return this.step({ type: 'message', from, message: { type: 'certificate', certificate } });
  }

  anchorAfter({ header }: Block): L1BlockId {
    if (header.height === 0) return this.#l1Anchor ?? NO_L1_ANCHOR;
    return { number: header.l1AnchorNumber, hash: header.l1AnchorHash };
  }

  proposal(parts: ProposalParts): Proposal {
    const { view, parent = this.genesis, skips = [], refs = [] } = parts;
    const parentView = parent === this.genesis ? 0 : parent.header.view;
    const { number, hash } = this.anchorAfter(parent);
    const block: Block = {
      header: {
        version: BLOCK_VERSION,
        networkId: NETWORK_ID,
        epoch: this.epoch,
        view,
        height: parent.header.height + 1,
        parentView,
        parentHash: blockHash(parent.header),
        leader: this.leaderAt(view),
        timestampMs: this.nowMs,
        l1AnchorNumber: number,
        l1AnchorHash: hash,
        refsRoot: BatchRefs.hashTreeRoot(refs),
        skipsRoot: SkipCertificates.hashTreeRoot(skips),
        nextValidatorSetHash: ZERO_HASH,
        ...parts.header,
      },
      refs,
    };
    const parentCertificate =
      parts.parentCertificate ??
      (parentView === 0
        ? genesisCertificate(this.weights.length, blockHash(parent.header), this.epoch)
        : this.certificate(VoteKind.notarize, parentView, parent));
    const signer = parts.signer ?? this.leaderAt(view);
    const { signature } = this.vote(signer, VoteKind.notarize, view, block);
    return { block, parentCertificate, skips, leaderSignature: signature };
  }

  sendProposal(proposal: Proposal, from: ValidatorIndex = this.leaderAt(proposal.block.header.view)): Output[] {
    return this.step({ type: 'message', from, message: { type: 'proposal', proposal } });
  }

  /** Brings the node to the end of a view with a block of its leader; the block. */
  notarized(parts: ProposalParts): Block {
    const proposal = this.proposal(parts);
    this.sendProposal(proposal);
    this.sendCertificate(this.certificate(VoteKind.notarize, parts.view, proposal.block));
    return proposal.block;
  }

  nullified(view: View): Certificate {
    const certificate = this.certificate(VoteKind.nullify, view);
    this.sendCertificate(certificate);
    return certificate;
  }

  batch(author: ValidatorIndex, seq: number, previous?: HeldBatch, salt = 0, joinsNext = false): HeldBatch {
    const digest = new Uint8Array(32).fill(author + 1);
    digest[0] = seq;
    digest[1] = salt;
    return { ref: { author, seq, rollupId: 1, digest, joinsNext }, previousDigest: previous?.ref.digest ?? ZERO_HASH };
  }

  /** A lane of so many batches, stored here. */
  lane(author: ValidatorIndex, length: number): HeldBatch[] {
    const lane: HeldBatch[] = [];
    for (let seq = 0; seq < length; seq++) {
      lane.push(this.batch(author, seq, lane.at(-1)));
      this.step({ type: 'batchStored', batch: lane.at(-1)! });
    }
    return lane;
  }

  acknowledge(from: ValidatorIndex, batch: HeldBatch): Output[] {
    const { author, seq, digest } = batch.ref;
    return this.step({ type: 'acknowledged', from, acknowledgements: [{ author, seq, digest }] });
  }

  // ---------------------------------------------------------------- what came out

  /** All outputs since the last call. */
  take(): Output[] {
    const { outputs } = this;
    this.outputs = [];
    return outputs;
  }
}

export function sentVotes(outputs: readonly Output[], kind?: VoteKind): Vote[] {
  return outputs.flatMap((output) =>
    output.type === 'send' &&
    output.message.type === 'vote' &&
    (kind === undefined || output.message.vote.kind === kind)
      ? [output.message.vote]
      : [],
  );
}

export function sentCertificates(outputs: readonly Output[], kind?: VoteKind): Certificate[] {
  return outputs.flatMap((output) =>
    output.type === 'send' &&
    output.message.type === 'certificate' &&
    (kind === undefined || output.message.certificate.kind === kind)
      ? [output.message.certificate]
      : [],
  );
}

export function sentProposals(outputs: readonly Output[]): Proposal[] {
  return outputs.flatMap((output) =>
    output.type === 'send' && output.message.type === 'proposal' ? [output.message.proposal] : [],
  );
}

export function ofType<T extends Output['type']>(outputs: readonly Output[], type: T): Extract<Output, { type: T }>[] {
  return outputs.filter((output): output is Extract<Output, { type: T }> => output.type === type);
}

export const hashOf = (block: Block): string => toHex(blockHash(block.header));
