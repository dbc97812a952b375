/**
 * A whole network on virtual time, from one seed: nodes, links, disks, faults, adversaries, and the checks on all of it.
 * First a time of trouble, then a freeze: faults end, everybody is up again, Byzantine nodes go on as they are. From then
 * on all that honest nodes have sealed must become final within a bounded time.
 */

import {
  type Block,
  type ConsensusMessage,
  genesisBlock,
  MAX_BUNDLE_BATCHES,
  NO_L1_ANCHOR,
  type ValidatorIndex,
  type ValidatorSet,
  validatorSetHash,
  voteSigningRoot,
  ZERO_HASH,
} from '@squad/types';
import { type ConsensusConfig, DEFAULT_CONSENSUS_OPTIONS, type HeldBatch } from '../src/api.ts';
import type { EpochEndedRecord } from '../src/epochs.ts';
import type { Adversary, AdversaryContext } from './adversaries/adversary.ts';
import { ADVERSARIES } from './adversaries/index.ts';
import { EpochPlan, identityOfFollower, isFit, type PlannedEpoch } from './epoch-plan.ts';
import { FaultInjector } from './faults.ts';
import { FinalLedger } from './invariants/epochs.ts';
import { Invariants, InvariantViolation } from './invariants/index.ts';
import { SimulatedL1 } from './l1.ts';
import { forgedSignature, SignatureRegistry } from './mock-scheme.ts';
import { SimulatedNetwork } from './network.ts';
import { SimulatedNode } from './node.ts';
import { BatchRegistry } from './payloads.ts';
import type { Random } from './prng.ts';
import { EventQueue } from './queue.ts';
import { isOverloaded, randomOf, type Schedule } from './schedule.ts';
import { Trace } from './trace.ts';

const GENESIS_TIME_MS = 1_700_000_000_000;
/** How far the clock of an adversary may be off that does not care. */
const MAX_WILD_SKEW_MS = 30_000;
/** Most see a block of the L1 within this time; a schedule is short. */
const ANCHOR_DELAY_MS = 300;
/** How often what a node seals is a bundle. */
const BUNDLE_CHANCE = 0.15;
/** Virtual time after the freeze within which everything must be final. */
export const LIVENESS_BOUND_MS = 60_000;
/** Heights that must be gained after the freeze, and how far apart the heads of honest nodes may be at the end. */
const LIVENESS_HEIGHTS = 3;
const HEAD_SPREAD = 2;
/** Virtual time in which the others have to be three epochs on, or the one that is off comes back before. */
const MAX_ABSENCE_MS = 30_000;

export class World {
  readonly schedule: Schedule;
  readonly queue = new EventQueue();
  readonly trace: Trace;
  /** By place: the validators in their order, then the second copies of those that have one. */
  readonly nodes: SimulatedNode[];
  /** What the faults did, in order, by the names with which a schedule can leave them out. */
  readonly acts: string[] = [];
  readonly network: SimulatedNetwork;
  /** What is final, of all epochs. */
  readonly final: FinalLedger;
  readonly plan: EpochPlan;
  readonly slowDisks = new Set<ValidatorIndex>();
  readonly roundTrip: boolean;
  readonly checkpoints: boolean;
  readonly #genesis: Block;
  /** Undefined: the network follows none. */
  readonly l1: SimulatedL1 | undefined;
  steps = 0;
  readonly batches: BatchRegistry;
  readonly #networkId: Uint8Array;
  readonly #registry: SignatureRegistry;
  /** By epoch, each from when the first node begins it. */
  readonly #rules = new Map<number, Invariants>();
  readonly #adversaries = new Map<string, Adversary>();
  /** When a validator that does not know the next set at once will have learnt it, by identity and epoch. */
  readonly #learnsAtMs = new Map<string, number>();
  readonly #random: Random;
  readonly #at: readonly SimulatedNode[][];
  readonly #peers: readonly SimulatedNode[][];
  readonly #faults: FaultInjector;
  /** Off through three epochs, and not to be started before. */
  #absentee: SimulatedNode | undefined;

  constructor(schedule: Schedule, traceLines: number) {
    this.schedule = schedule;
    this.batches = new BatchRegistry(schedule.epochs !== undefined);
    this.trace = new Trace(traceLines, () => this.nodes.map(({ name }) => name));
    const { weights, faults } = schedule;
    const random = randomOf(schedule);
    this.#random = random;
    this.roundTrip = faults.has('codec');
    this.checkpoints = faults.has('checkpoint');
    this.#networkId = random.fork('network-id').bytes(32);
    this.plan = new EpochPlan(weights, schedule.epochs);
    this.#registry = new SignatureRegistry(random.fork('scheme').uint32());
    this.#genesis = genesisBlock(this.#networkId, GENESIS_TIME_MS);
    this.final = new FinalLedger(this.#genesis);
    this.l1 = schedule.l1 && new SimulatedL1(schedule.l1, random.fork('l1'));
    for (const eye of new Set(schedule.l1?.eyes)) this.count(`eye ${eye}`);
    const twins = [...schedule.byzantine].flatMap(([index, name]) => (name === 'twins' ? [index] : []));
    const indexes = [...weights.keys(), ...twins];
    this.network = new SimulatedNetwork(this.queue, random.fork('links'), indexes.length, schedule.latencyMs, (kind) =>
      this.count(kind),
    );
    this.#rules.set(0, this.#rulesFrom(this.plan.at(0), this.#genesis));
    this.nodes = indexes.map(
      (identity, place) => new SimulatedNode(this, identity, place, random.fork(`node-${place}`)),
    );
    this.#at = weights.map((_, identity) => this.nodes.filter((node) => node.identity === identity));
    this.#peers = this.nodes.map((node) => this.nodes.filter((other) => other.identity !== node.identity));
    this.#faults = new FaultInjector(this);
    for (const name of schedule.byzantine.values()) this.count(`adversary ${name}`);
    if (isOverloaded(weights, schedule.byzantine)) this.count('more adversaries than tolerated');
    this.count(schedule.settles ? 'settles' : 'does not settle');
    for (const name of faults) this.count(`fault ${name}`);
  }

  get nowMs(): number {
    return GENESIS_TIME_MS + this.queue.nowMs;
  }

  get honest(): SimulatedNode[] {
    return this.nodes.filter(({ identity }) => !this.isByzantine(identity));
  }

  isByzantine(identity: number): boolean {
    return this.schedule.byzantine.has(identity);
  }

  /** The node of a validator, or both of its nodes. */
  at(identity: number): readonly SimulatedNode[] {
    return this.#at[identity]!;
  }

  // ---------------------------------------------------------------- epochs

  get genesis(): Block {
    return this.#genesis;
  }

  /** The invariants of an epoch; `root`: what it is built on, as the node that begins it says. */
  rules(epoch: PlannedEpoch, root: Block): Invariants {
    let rules = this.#rules.get(epoch.number);
    if (!rules) {
      rules = this.#rulesFrom(epoch, root);
      rules.checkLeaders();
      this.#rules.set(epoch.number, rules);
      this.count('an epoch begins');
    }
    return rules;
  }

  /** Of an epoch that some node has begun. */
  rulesAt({ number }: PlannedEpoch): Invariants {
    return this.#rules.get(number)!;
  }

  rulesOf({ header }: Block): Invariants | undefined {
    return this.#rules.get(header.epoch);
  }

  #rulesFrom(epoch: PlannedEpoch, root: Block): Invariants {
    const { number, weights, validatorSet, leaders, lastHeight } = epoch;
    const observed = (node: SimulatedNode) =>
      epoch.positionOf(node.identity) === undefined ? [] : [node.observedIn(epoch)];
    const bounds = {
      number,
      root,
      lastHeight,
      nextSetHash: this.plan.nextSetHash(number),
      hashOfSet: validatorSetHash,
      places: 2 * this.schedule.weights.length,
    };
    return new Invariants(
      {
        networkId: this.#networkId,
        genesisTimeMs: GENESIS_TIME_MS,
        weights,
        validatorSet,
        isOverloaded: isOverloaded(this.schedule.weights, this.schedule.byzantine),
        registry: this.#registry,
        nodes: () => this.nodes.flatMap(observed),
        isByzantine: (position) => this.isByzantine(epoch.members[position] ?? identityOfFollower(position)),
        batchOf: (digest) => this.batches.get(digest),
        leaderAt: (view) => leaders.leaderAt(view),
        latestLocalNowMs: () => Math.max(...this.honest.map((node) => node.localNowMs)),
        nowMs: () => this.queue.nowMs,
        count: (kind) => this.count(kind),
        l1: this.l1 && {
          anchor: this.l1.anchor,
          hasSeen: (place, block) => this.l1!.hasSeen(this.nodes[place]!.identity, block),
          leadsTo: (below, above) => this.l1!.leadsTo(below, above),
        },
        epoch: this.schedule.epochs && bounds,
      },
      this.final,
    );
  }

  /** What a node's core of an epoch is made from. */
  configOf(node: SimulatedNode, epoch: PlannedEpoch, ended: EpochEndedRecord | undefined): ConsensusConfig {
    const self = epoch.positionOf(node.identity);
    const bounds = {
      startsAfter: ended?.block ?? this.#genesis,
      proof: ended?.proof,
      lastHeight: epoch.lastHeight,
      nextValidatorSet: () => this.#nextSetFor(node, epoch),
    };
    return {
      networkId: this.#networkId,
      genesisTimeMs: GENESIS_TIME_MS,
      validatorSet: ended?.proof.nextValidatorSet ?? epoch.validatorSet,
      self,
      scheme: this.#registry.schemeFor(self),
      options: { ...DEFAULT_CONSENSUS_OPTIONS, anchorDelayMs: ANCHOR_DELAY_MS },
      ...(this.l1 && { l1Anchor: this.l1.anchor }),
      ...(this.schedule.epochs && { epoch: bounds }),
    };
  }

  /** Most know the next set when they need it, some learn it late. */
  #nextSetFor(node: SimulatedNode, epoch: PlannedEpoch): ValidatorSet | undefined {
    const name = `${node.identity} ${epoch.number}`;
    let learnsAtMs = this.#learnsAtMs.get(name);
    if (learnsAtMs === undefined) {
      const random = this.#random.fork(`learns-${name}`);
      const waitMs = random.chance(0.15) ? random.integer(50, 3_000) : 0;
      learnsAtMs = this.queue.nowMs + waitMs;
      this.#learnsAtMs.set(name, learnsAtMs);
      if (waitMs > 0) {
        this.count('the next set is not known yet');
        node.later(waitMs, () => node.run({ type: 'tick' }));
      }
    }
    return this.queue.nowMs < learnsAtMs ? undefined : this.plan.at(epoch.number + 1).validatorSet;
  }

  /** The adversary that a Byzantine validator is in an epoch; a second copy of it is honest. */
  adversaryOf(node: SimulatedNode, epoch: PlannedEpoch): Adversary | undefined {
    const name = this.schedule.byzantine.get(node.identity);
    const self = epoch.positionOf(node.identity);
    if (name === undefined || self === undefined || node.place !== node.identity) return undefined;
    const key = `${node.identity} ${epoch.number}`;
    let adversary = this.#adversaries.get(key);
    if (!adversary) {
      adversary = ADVERSARIES[name](this.#adversaryContext(node, epoch, self));
      this.#adversaries.set(key, adversary);
    }
    return adversary;
  }

  /** A Byzantine message may be of any epoch. */
  learnByzantine(message: ConsensusMessage): void {
    if (message.type === 'proposal') this.rulesOf(message.proposal.block)?.onByzantineMessage(message);
  }

  fail(invariant: string, message: string): never {
    throw new InvariantViolation(invariant, message);
  }

  /** The nodes of all other validators. */
  peersOf(node: SimulatedNode): readonly SimulatedNode[] {
    return this.#peers[node.place]!;
  }

  count(kind: string): void {
    this.trace.count(kind);
  }

  note(kind: string, numbers: readonly number[], words: () => string): void {
    this.trace.add(this.queue.nowMs, kind, numbers, words);
  }

  noteMessage(from: SimulatedNode, to: SimulatedNode, message: ConsensusMessage): void {
    this.trace.addMessage(this.queue.nowMs, message, from.place, to.place);
  }

  /** `payload`: what was accepted before, and is sealed anew. */
  makeBatch(
    node: SimulatedNode,
    seq: number,
    previousDigest: Uint8Array | undefined,
    { payload, joinsNext = false }: { readonly payload?: number | undefined; readonly joinsNext?: boolean } = {},
  ): HeldBatch {
    const { index: author, place, name, epoch } = node;
    const id = `batch-${place}-${seq}-${this.queue.nowMs}${epoch.number > 0 ? `-${epoch.number}` : ''}`;
    const digest = this.#random.fork(id).bytes(32);
    const joins = joinsNext || node.adversary?.neverCloses === true;
    const ref = { author, seq, rollupId: 1, digest, joinsNext: joins };
    const batch: HeldBatch = { ref, previousDigest: previousDigest ?? ZERO_HASH };
    this.batches.add(batch, epoch.number, payload ?? this.batches.newPayload(), this.queue.nowMs);
    this.note('batch', [author, seq], () => `${name} seals batch ${author}/${seq}`);
    return batch;
  }

  // ---------------------------------------------------------------- the run

  /** Throws an `InvariantViolation`, or whatever the core throws. */
  run(): void {
    const { troubleMs } = this.schedule;
    this.#rules.get(0)!.checkLeaders();
    for (const node of this.nodes) this.#bringUp(node);
    for (const node of this.nodes) this.#produceLater(node);
    this.#faults.begin(troubleMs);
    if (this.schedule.epochs?.hasAbsentee) this.#sendAway();
    this.#runUntil(troubleMs);
    this.#awaitAbsentee();
    if (!this.schedule.settles) return;
    this.#freeze();
    this.#becomeLive();
  }

  #runUntil(untilMs: number): void {
    let reached = false;
    this.queue.at(untilMs, () => {
      reached = true;
    });
    while (!reached) this.queue.runNext();
  }

  #bringUp(node: SimulatedNode): void {
    node.start();
    this.connect(node);
  }

  /** Both ends of every open link of a node learn of the connection. */
  connect(node: SimulatedNode): void {
    for (const other of this.nodes) {
      if (other.identity === node.identity || !other.up || this.network.isBlocked(node.place, other.place)) continue;
      for (const [here, there] of [
        [node, other],
        [other, node],
      ] as const) {
        here.later(1, () => {
          here.post.connected(there);
          here.exchange.acknowledgeTo(there);
        });
      }
    }
  }

  crash(node: SimulatedNode): void {
    if (!node.up) return;
    this.note('crash', [node.place], () => `${node.name} crashes`);
    node.crash();
    for (const other of this.peersOf(node)) this.disconnect(other, node);
  }

  /** One end learns that the other's channel is gone, unless a partition keeps even that from it. */
  disconnect(here: SimulatedNode, there: SimulatedNode): void {
    if (!here.up || this.network.isBlocked(there.place, here.place)) return;
    here.later(this.schedule.latencyMs, () => here.post.disconnected(there));
  }

  restart(node: SimulatedNode): void {
    if (node.up || node === this.#absentee) return;
    this.note('restart', [node.place], () => `${node.name} starts again`);
    this.#bringUp(node);
  }

  #produceLater(node: SimulatedNode): void {
    const delayMs = 1 + node.random.exponential(this.schedule.batchIntervalMs);
    this.queue.after(delayMs, () => {
      if (node.up)
        node.seal(undefined, node.random.chance(BUNDLE_CHANCE) ? node.random.integer(2, MAX_BUNDLE_BATCHES) : 1);
      this.#produceLater(node);
    });
  }

  /** R22: one that the others can do without is off, until they are three epochs on. */
  #sendAway(): void {
    const { byzantine, epochs } = this.schedule;
    const random = this.#random.fork('absentee');
    const candidates = this.honest.filter(({ identity }) =>
      epochs!.sets.every((set) => isFit(set, new Set([...byzantine.keys(), identity]))),
    );
    if (candidates.length === 0) return;
    const node = random.pick(candidates);
    this.queue.after(random.integer(10, 600), () => {
      this.#absentee = node;
      this.crash(node);
      this.count('off through three epochs');
    });
  }

  #awaitAbsentee(): void {
    const node = this.#absentee;
    if (!node) return;
    const height = this.final.cursor(node.place) + 3 * this.schedule.epochs!.lengthBlocks + 1;
    const bound = this.queue.nowMs + MAX_ABSENCE_MS;
    while (this.final.chain.length <= height && this.queue.nowMs < bound) this.#runUntil(this.queue.nowMs + 100);
    this.#absentee = undefined;
    if (this.final.chain.length > height) this.count('back after three epochs');
    this.restart(node);
  }

  #freeze(): void {
    this.note('freeze', [], () => 'the faults end');
    this.#faults.end();
    for (const node of this.nodes) this.restart(node);
    if (this.schedule.reconnects) for (const node of this.nodes) this.connect(node);
    else this.count('settles on the connections that there are');
  }

  #becomeLive(): void {
    const { honest } = this;
    const expected = honest.map((node) => node.acceptedBatches());
    // With epochs, far enough that a boundary has to be crossed.
    const gain = this.schedule.epochs ? this.schedule.epochs.lengthBlocks + 1 : LIVENESS_HEIGHTS;
    const height = Math.max(...honest.map((node) => this.final.cursor(node.place))) + gain;
    const lacking = (): string | undefined => {
      const cursors = honest.map((node) => this.final.cursor(node.place));
      const lowest = Math.min(...cursors);
      if (lowest < height) return `the lowest final height is ${lowest}, not ${height} (all: ${cursors.join(', ')})`;
      if (Math.max(...cursors) - lowest > HEAD_SPREAD) return `final heights are far apart: ${cursors.join(', ')}`;
      for (const [i, node] of honest.entries()) {
        for (const reader of honest) {
          const missing = reader.missingOf(node, expected[i]!);
          if (missing) return `${reader.name}: ${missing}`;
        }
      }
      return undefined;
    };
    const bound = this.queue.nowMs + LIVENESS_BOUND_MS;
    for (let missing = lacking(); missing !== undefined; missing = lacking()) {
      if (this.queue.nowMs > bound) this.fail('liveness', `${LIVENESS_BOUND_MS} ms after the faults ended ${missing}`);
      this.#runUntil(this.queue.nowMs + 100);
    }
  }

  // ---------------------------------------------------------------- adversaries

  #adversaryContext(node: SimulatedNode, epoch: PlannedEpoch, self: ValidatorIndex): AdversaryContext {
    const { identity } = node;
    const positions = [...epoch.members.keys()];
    return {
      self,
      epoch: epoch.number,
      lastHeight: epoch.lastHeight,
      memory: node.memory,
      others: positions.filter((position) => position !== self),
      random: this.#random.fork(epoch.number === 0 ? `adversary-${identity}` : `adversary-${identity}-${epoch.number}`),
      side: new Set(this.#random.fork('side').subset(positions)),
      leaderAt: (view) => epoch.leaders.leaderAt(view),
      l1At: (number, fork) => this.l1?.at(number, fork) ?? NO_L1_ANCHOR,
      sign: (kind, view, blockHash, ofEpoch = epoch.number) => {
        const content = { kind, epoch: ofEpoch, view, blockHash };
        // In another epoch its key stands at another position, or at none.
        const position = ofEpoch === epoch.number ? self : this.plan.at(ofEpoch).positionOf(identity);
        const root = voteSigningRoot(this.#networkId, content);
        const signature =
          position === undefined ? forgedSignature(view, true) : this.#registry.schemeFor(position).sign(root);
        return { ...content, signer: self, signature };
      },
      send: (to, message) => {
        this.learnByzantine(message);
        node.post.sendAsIs(to, message, epoch);
      },
      keepBatch: (batch) => {
        this.batches.add(batch, epoch.number, this.batches.newPayload(), this.queue.nowMs);
        node.batches.add(batch);
      },
      later: (delayMs, act) => node.later(delayMs, act),
      skewClock: () => {
        node.clockSkewMs = this.#random
          .fork(`skew-${identity}-${this.queue.nowMs}`)
          .integer(-MAX_WILD_SKEW_MS, MAX_WILD_SKEW_MS);
      },
      count: (kind) => this.count(kind),
    };
  }
}
