/**
 * Does with real cores what a trace of the model does: each step becomes inputs of one validator's core, made with the keys
 * of the others. Every validator has a clock of its own, so that a timeout of one is no timeout of another; blocks that a
 * core would have to fetch are handed to it before they are needed, as the model says nothing of data.
 */

import {
  BatchRefs,
  BLOCK_VERSION,
  type Block,
  blockHash,
  type Certificate,
  genesisBlock,
  genesisCertificate,
  LeaderSchedule,
  MAX_CLOCK_DRIFT_MS,
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
import { SignatureRegistry } from '../../sim/mock-scheme.ts';
import { type ConsensusRecord, DEFAULT_CONSENSUS_OPTIONS, type Input, type Output } from '../../src/api.ts';
import { Consensus } from '../../src/core.ts';
import { byView, type NodeState, type TraceStep, viewOf } from './itf.ts';

const START_MS = 1_700_000_000_000;
const NETWORK_ID: Uint8Array = new Uint8Array(32).fill(9);
/** D does not adapt and no leader is skipped for silence: the model has no time. */
const OPTIONS = {
  ...DEFAULT_CONSENSUS_OPTIONS,
  maxDelayMs: DEFAULT_CONSENSUS_OPTIONS.initialDelayMs,
  minDelayMs: DEFAULT_CONSENSUS_OPTIONS.initialDelayMs,
  inactiveAfterMs: Number.MAX_SAFE_INTEGER,
};
/** Longer than any wait for a leader and any view timeout. */
const TIMEOUT_MS = 60_000;

interface RealNode {
  core: Consensus;
  nowMs: number;
  records: ConsensusRecord[];
  restarts: number;
  readonly votes: Vote[];
}

export class Replay {
  readonly #size: number;
  readonly #set: ValidatorSet;
  readonly #leaders: LeaderSchedule;
  readonly #registry = new SignatureRegistry(7);
  readonly #genesis: Block = genesisBlock(NETWORK_ID, START_MS);
  /** By the model's numbers. */
  readonly #nodes = new Map<number, RealNode>();
  readonly #proposals = new Map<number, Proposal>();
  readonly #numbers = new Map<string, number>();

  constructor(size: number, honest: Iterable<number>) {
    this.#size = size;
    const validator = { blsPublicKey: new Uint8Array(48), nodePublicKey: new Uint8Array(32), weight: 1 };
    this.#set = { epoch: 0, validators: Array.from({ length: size }, () => validator) };
    this.#leaders = new LeaderSchedule(this.#set);
    this.#numbers.set(toHex(blockHash(this.#genesis.header)), 0);
    for (const i of honest) {
      const node = { core: this.#create(i, START_MS, []), nowMs: START_MS, records: [], restarts: 0, votes: [] };
      this.#nodes.set(i, node);
      this.#step(i, { type: 'start' });
    }
  }

  /** In the model validator (view mod n) leads a view; the schedule is a permutation of that. */
  #real(model: number): ValidatorIndex {
    return this.#leaders.leaderAt(model);
  }

  #create(model: number, nowMs: number, records: readonly ConsensusRecord[]): Consensus {
    const self = this.#real(model);
    const scheme = this.#registry.schemeFor(self);
    const config = { networkId: NETWORK_ID, genesisTimeMs: START_MS, validatorSet: this.#set, self, scheme };
    return new Consensus({ ...config, options: OPTIONS }, nowMs, records);
  }

  #step(model: number, input: Input): Output[] {
    const node = this.#nodes.get(model)!;
    const outputs = node.core.step(node.nowMs, input);
    for (const output of outputs) {
      if (output.type !== 'persist') continue;
      node.records.push(output.record);
      if (output.record.type === 'vote') node.votes.push(output.record.vote);
    }
    return outputs;
  }

  /** What the real validator has said, and where it stands, in the model's terms. */
  stateOf(model: number): NodeState {
    const { core, votes } = this.#nodes.get(model)!;
    const of = (kind: VoteKind) => votes.filter((vote) => vote.kind === kind);
    const named = (kind: VoteKind) =>
      of(kind)
        .map(({ view, blockHash: hash }) => [view, this.#numbers.get(toHex(hash))!] as const)
        .sort(byView);
    return {
      view: core.status.view,
      notarized: named(VoteKind.notarize),
      nullified: of(VoteKind.nullify)
        .map(({ view }) => view)
        .sort((a, b) => a - b),
      finalized: named(VoteKind.finalize),
      final: this.#numbers.get(toHex(blockHash(core.finalBlock.header)))!,
    };
  }

  // ---------------------------------------------------------------- the model's steps

  take(step: TraceStep, before: TraceStep): void {
    const { name, node, view, block } = step;
    switch (name) {
      case 'propose':
        return this.#propose(node, block, step);
      case 'proposeByzantine':
        return this.#make(block, step);
      case 'takeProposal':
        return this.#takeProposal(node, block, before);
      case 'takeNotarization':
        this.#giveAncestry(node, block, before);
        return this.#takeCertificate(node, this.#certificate(VoteKind.notarize, view, block));
      case 'takeFinalization':
        this.#giveAncestry(node, block, before);
        return this.#takeCertificate(node, this.#certificate(VoteKind.finalize, view, block));
      case 'takeNullification':
        return this.#takeCertificate(node, this.#certificate(VoteKind.nullify, view, 0));
      case 'timeout':
        this.#nodes.get(node)!.nowMs += TIMEOUT_MS;
        this.#step(node, { type: 'tick' });
        return;
      case 'takeBadProposal':
        return this.#takeBadProposal(node, view);
      case 'takeLeaderNullify': {
        const leader = this.#leaders.leaderAt(view);
        const vote = this.#vote(leader, VoteKind.nullify, view, ZERO_HASH);
        this.#step(node, { type: 'message', from: leader, message: { type: 'vote', vote } });
        return;
      }
      case 'restart':
        return this.#restart(node);
      case 'init':
        return;
    }
  }

  /** The heartbeat is over: a leader with nothing to order proposes an empty block (R18). */
  #propose(model: number, block: number, step: TraceStep): void {
    const parent = step.parents.get(block)!;
    this.#giveAncestry(model, parent, step);
    this.#nodes.get(model)!.nowMs += OPTIONS.heartbeatMs;
    const outputs = this.#step(model, { type: 'tick' });
    const sent = outputs.flatMap((output) =>
      output.type === 'send' && output.message.type === 'proposal' ? [output.message.proposal] : [],
    );
    if (sent.length !== 1) throw new Error(`validator ${model} made ${sent.length} proposals in view ${step.view}`);
    this.#keep(block, sent[0]!);
    const { header } = sent[0]!.block;
    const real = this.#numbers.get(toHex(header.parentHash));
    if (real !== parent) throw new Error(`validator ${model} built block ${block} on ${real}, the model on ${parent}`);
  }

  #keep(number: number, proposal: Proposal): void {
    this.#proposals.set(number, proposal);
    this.#numbers.set(toHex(blockHash(proposal.block.header)), number);
  }

  #blockOf(number: number): Block {
    return number === 0 ? this.#genesis : this.#proposals.get(number)!.block;
  }

  #make(number: number, step: TraceStep): void {
    const parent = step.parents.get(number)!;
    const view = viewOf(number);
    const skips: Certificate[] = [];
    for (let skipped = viewOf(parent) + 1; skipped < view; skipped++) {
      skips.push(this.#certificate(VoteKind.nullify, skipped, 0));
    }
    const above = this.#blockOf(parent).header;
    const leader = this.#leaders.leaderAt(view);
    const block: Block = {
      header: {
        ...this.#genesis.header,
        version: BLOCK_VERSION,
        view,
        height: above.height + 1,
        parentView: above.view,
        parentHash: blockHash(above),
        leader,
        timestampMs: above.timestampMs + (number & 1),
        refsRoot: BatchRefs.hashTreeRoot([]),
        skipsRoot: SkipCertificates.hashTreeRoot(skips),
      },
      refs: [],
    };
    const kind = step.onFinalized.has(number) ? VoteKind.finalize : VoteKind.notarize;
    const parentCertificate =
      parent === 0 ? genesisCertificate(this.#size, blockHash(above)) : this.#certificate(kind, viewOf(parent), parent);
    const { signature } = this.#vote(leader, VoteKind.notarize, view, blockHash(block.header));
    this.#keep(number, { block, parentCertificate, skips, leaderSignature: signature });
  }

  #takeProposal(model: number, number: number, step: TraceStep): void {
    const proposal = this.#proposals.get(number)!;
    const node = this.#nodes.get(model)!;
    this.#giveAncestry(model, step.parents.get(number)!, step);
    // The proposal is there before the clock has moved on for anything else (R11: a timestamp that is ahead is waited for).
    node.nowMs = Math.max(node.nowMs, proposal.block.header.timestampMs - MAX_CLOCK_DRIFT_MS);
    const from = this.#leaders.leaderAt(viewOf(number));
    this.#step(model, { type: 'message', from, message: { type: 'proposal', proposal } });
  }

  /** It names a parent that its certificate is not for. */
  #takeBadProposal(model: number, view: View): void {
    const from = this.#leaders.leaderAt(view);
    const header = { ...this.#genesis.header, view, height: 1, leader: from, parentHash: new Uint8Array(32).fill(1) };
    const block: Block = { header, refs: [] };
    const { signature: leaderSignature } = this.#vote(from, VoteKind.notarize, view, blockHash(header));
    const parentCertificate = genesisCertificate(this.#size, ZERO_HASH);
    const proposal: Proposal = { block, parentCertificate, skips: [], leaderSignature };
    this.#step(model, { type: 'message', from, message: { type: 'proposal', proposal } });
  }

  #takeCertificate(model: number, certificate: Certificate): void {
    const from = this.#real((model + 1) % this.#size);
    this.#step(model, { type: 'message', from, message: { type: 'certificate', certificate } });
  }

  /** From all records, or from a checkpoint and what came after it. */
  #restart(model: number): void {
    const node = this.#nodes.get(model)!;
    // Without anything to keep there is no checkpoint either: a node that finds one is not new (R19).
    if (node.restarts++ % 2 === 1 && node.records.length > 0)
      node.records = [{ type: 'checkpoint', checkpoint: node.core.checkpoint() }];
    node.core = this.#create(model, node.nowMs, node.records);
    this.#step(model, { type: 'start' });
  }

  /** The block and those below it, lowest first, as if they had been fetched. */
  #giveAncestry(model: number, number: number, step: TraceStep): void {
    if (number === 0) return;
    this.#giveAncestry(model, step.parents.get(number)!, step);
    const block = this.#blockOf(number);
    this.#step(model, { type: 'blockFetched', from: block.header.leader, block });
  }

  // ---------------------------------------------------------------- votes and certificates

  #vote(signer: ValidatorIndex, kind: VoteKind, view: View, hash: Uint8Array): Vote {
    const content = { kind, epoch: 0, view, blockHash: hash };
    const signature = this.#registry.schemeFor(signer).sign(voteSigningRoot(NETWORK_ID, content));
    return { ...content, signer, signature };
  }

  /** Of exactly those who voted so, and of the Byzantine ones. */
  #certificate(kind: VoteKind, view: View, block: number): Certificate {
    const hash = kind === VoteKind.nullify ? ZERO_HASH : blockHash(this.#blockOf(block).header);
    const votes: Vote[] = [];
    for (let model = 0; model < this.#size; model++) {
      const node = this.#nodes.get(model);
      const own = node?.votes.find(
        (vote) => vote.kind === kind && vote.view === view && toHex(vote.blockHash) === toHex(hash),
      );
      const vote = node === undefined ? this.#vote(this.#real(model), kind, view, hash) : own;
      if (vote !== undefined) votes.push(vote);
    }
    const signers = votes.map(({ signer }) => signer).sort((a, b) => a - b);
    const scheme = this.#registry.schemeFor(undefined);
    return {
      kind,
      epoch: 0,
      view,
      blockHash: hash,
      signers: signerBits(this.#size, signers),
      signature: scheme.aggregate(votes.map(({ signature }) => signature))!,
    };
  }
}
