/**
 * A whole network on virtual time, from one seed: nodes, links, disks, faults, adversaries, and the checks on all of it.
 * First a time of trouble, then a freeze: faults end, everybody is up again, Byzantine nodes go on as they are. From then
 * on all that honest nodes have sealed must become final within a bounded time.
 */

import {
  type ConsensusMessage,
  LeaderSchedule,
  toHex,
  type ValidatorIndex,
  type ValidatorSet,
  voteSigningRoot,
  ZERO_HASH,
} from '@squad/types';
import { DEFAULT_CONSENSUS_OPTIONS, type HeldBatch } from '../src/api.ts';
import type { AdversaryContext } from './adversaries/adversary.ts';
import { ADVERSARIES } from './adversaries/index.ts';
import { FaultInjector } from './faults.ts';
import { Invariants } from './invariants/index.ts';
import { SignatureRegistry } from './mock-scheme.ts';
import { SimulatedNetwork } from './network.ts';
import { SimulatedNode } from './node.ts';
import type { Random } from './prng.ts';
import { EventQueue } from './queue.ts';
import { isOverloaded, randomOf, type Schedule } from './schedule.ts';
import { Trace } from './trace.ts';

const GENESIS_TIME_MS = 1_700_000_000_000;
/** How far the clock of an adversary may be off that does not care. */
const MAX_WILD_SKEW_MS = 30_000;
/** Virtual time after the freeze within which everything must be final. */
export const LIVENESS_BOUND_MS = 60_000;
/** Heights that must be gained after the freeze, and how far apart the heads of honest nodes may be at the end. */
const LIVENESS_HEIGHTS = 3;
const HEAD_SPREAD = 2;

export class World {
  readonly schedule: Schedule;
  readonly queue = new EventQueue();
  readonly trace: Trace;
  /** By place: the validators in their order, then the second copies of those that have one. */
  readonly nodes: SimulatedNode[];
  /** What the faults did, in order, by the names with which a schedule can leave them out. */
  readonly acts: string[] = [];
  readonly network: SimulatedNetwork;
  readonly invariants: Invariants;
  readonly slowDisks = new Set<ValidatorIndex>();
  readonly roundTrip: boolean;
  readonly checkpoints: boolean;
  readonly #leaders: LeaderSchedule;
  readonly #batches = new Map<string, HeldBatch>();
  readonly #random: Random;
  readonly #others: readonly ValidatorIndex[][];
  readonly #at: readonly SimulatedNode[][];
  readonly #peers: readonly SimulatedNode[][];
  readonly #faults: FaultInjector;

  constructor(schedule: Schedule, traceLines: number) {
    this.schedule = schedule;
    this.trace = new Trace(traceLines, () => this.nodes.map(({ name }) => name));
    const { weights, faults } = schedule;
    const random = randomOf(schedule);
    this.#random = random;
    this.roundTrip = faults.has('codec');
    this.checkpoints = faults.has('checkpoint');
    this.#others = weights.map((_, self) => weights.map((_weight, i) => i).filter((i) => i !== self));
    const networkId = random.fork('network-id').bytes(32);
    const validatorSet: ValidatorSet = {
      epoch: 0,
      validators: weights.map((weight) => ({
        blsPublicKey: new Uint8Array(48),
        nodePublicKey: new Uint8Array(32),
        weight,
      })),
    };
    this.#leaders = new LeaderSchedule(validatorSet);
    const registry = new SignatureRegistry(random.fork('scheme').uint32());
    const twins = [...schedule.byzantine].flatMap(([index, name]) => (name === 'twins' ? [index] : []));
    const indexes = [...weights.keys(), ...twins];
    this.network = new SimulatedNetwork(this.queue, random.fork('links'), indexes.length, schedule.latencyMs, (kind) =>
      this.count(kind),
    );
    this.invariants = new Invariants({
      networkId,
      genesisTimeMs: GENESIS_TIME_MS,
      weights,
      validatorSet,
      isOverloaded: isOverloaded(weights, schedule.byzantine),
      registry,
      nodes: () => this.nodes,
      isByzantine: (index) => this.isByzantine(index),
      batchOf: (digest) => this.#batches.get(toHex(digest)),
      leaderAt: (view) => this.#leaders.leaderAt(view),
      latestLocalNowMs: () => Math.max(...this.honest.map((node) => node.localNowMs)),
      count: (kind) => this.count(kind),
    });
    this.nodes = indexes.map((self, place) => {
      const config = {
        networkId,
        genesisTimeMs: GENESIS_TIME_MS,
        validatorSet,
        self,
        scheme: registry.schemeFor(self),
        options: DEFAULT_CONSENSUS_OPTIONS,
      };
      return new SimulatedNode(this, self, place, config, random.fork(`node-${place}`));
    });
    this.#at = weights.map((_, index) => this.nodes.filter((node) => node.index === index));
    this.#peers = this.nodes.map((node) => this.nodes.filter((other) => other.index !== node.index));
    this.#faults = new FaultInjector(this);
    for (const [self, name] of schedule.byzantine) {
      this.nodes[self]!.adversary = ADVERSARIES[name](this.#adversaryContext(self, networkId, registry));
      this.count(`adversary ${name}`);
    }
    if (isOverloaded(weights, schedule.byzantine)) this.count('more adversaries than tolerated');
    this.count(schedule.settles ? 'settles' : 'does not settle');
    for (const name of faults) this.count(`fault ${name}`);
  }

  get size(): number {
    return this.schedule.weights.length;
  }

  get nowMs(): number {
    return GENESIS_TIME_MS + this.queue.nowMs;
  }

  get honest(): SimulatedNode[] {
    return this.nodes.filter(({ index }) => !this.schedule.byzantine.has(index));
  }

  isByzantine(index: ValidatorIndex): boolean {
    return this.schedule.byzantine.has(index);
  }

  othersThan(self: ValidatorIndex): readonly ValidatorIndex[] {
    return this.#others[self]!;
  }

  /** The node of a validator, or both of its nodes. */
  at(index: ValidatorIndex): readonly SimulatedNode[] {
    return this.#at[index]!;
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

  makeBatch({ index: author, place, name }: SimulatedNode, seq: number, previousDigest?: Uint8Array): HeldBatch {
    const digest = this.#random.fork(`batch-${place}-${seq}-${this.queue.nowMs}`).bytes(32);
    const batch: HeldBatch = { ref: { author, seq, rollupId: 1, digest }, previousDigest: previousDigest ?? ZERO_HASH };
    this.#batches.set(toHex(digest), batch);
    this.note('batch', [author, seq], () => `${name} seals batch ${author}/${seq}`);
    return batch;
  }

  // ---------------------------------------------------------------- the run

  /** Throws an `InvariantViolation`, or whatever the core throws. */
  run(): void {
    const { troubleMs } = this.schedule;
    this.invariants.checkLeaders();
    for (const node of this.nodes) this.#bringUp(node);
    for (const node of this.nodes) this.#produceLater(node);
    this.#faults.begin(troubleMs);
    this.#runUntil(troubleMs);
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
      if (other.index === node.index || !other.up || this.network.isBlocked(node.place, other.place)) continue;
      for (const [here, there] of [
        [node, other],
        [other, node],
      ] as const) {
        here.later(1, () => {
          here.run({ type: 'peerConnected', peer: there.index });
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
    here.later(this.schedule.latencyMs, () => here.run({ type: 'peerDisconnected', peer: there.index }));
  }

  restart(node: SimulatedNode): void {
    if (node.up) return;
    this.note('restart', [node.place], () => `${node.name} starts again`);
    this.#bringUp(node);
  }

  #produceLater(node: SimulatedNode): void {
    const delayMs = 1 + node.random.exponential(this.schedule.batchIntervalMs);
    this.queue.after(delayMs, () => {
      if (node.up) node.produce();
      this.#produceLater(node);
    });
  }

  #freeze(): void {
    this.note('freeze', [], () => 'the faults end');
    this.#faults.end();
    for (const node of this.nodes) this.restart(node);
    for (const node of this.nodes) this.connect(node);
  }

  #becomeLive(): void {
    const { honest } = this;
    const expected = honest.map((node) => node.batches.durableLength(node.index));
    const height = Math.max(...honest.map((node) => this.invariants.cursor(node.place))) + LIVENESS_HEIGHTS;
    const lacking = (): string | undefined => {
      const cursors = honest.map((node) => this.invariants.cursor(node.place));
      const lowest = Math.min(...cursors);
      if (lowest < height) return `the lowest final height is ${lowest}, not ${height} (all: ${cursors.join(', ')})`;
      if (Math.max(...cursors) - lowest > HEAD_SPREAD) return `final heights are far apart: ${cursors.join(', ')}`;
      for (const [i, node] of honest.entries()) {
        for (const reader of honest) {
          if (reader.final.nextSeq(node.index) >= expected[i]!) continue;
          const seq = reader.final.nextSeq(node.index);
          return `n${reader.index}: batch ${node.index}/${seq} of ${expected[i]} is not final`;
        }
      }
      return undefined;
    };
    const bound = this.queue.nowMs + LIVENESS_BOUND_MS;
    for (let missing = lacking(); missing !== undefined; missing = lacking()) {
      if (this.queue.nowMs > bound)
        this.invariants.fail('liveness', `${LIVENESS_BOUND_MS} ms after the faults ended ${missing}`);
      this.#runUntil(this.queue.nowMs + 100);
    }
  }

  // ---------------------------------------------------------------- adversaries

  #adversaryContext(self: ValidatorIndex, networkId: Uint8Array, registry: SignatureRegistry): AdversaryContext {
    const scheme = registry.schemeFor(self);
    const node = this.nodes[self]!;
    return {
      self,
      others: this.othersThan(self),
      random: this.#random.fork(`adversary-${self}`),
      side: new Set(this.#random.fork('side').subset([...this.schedule.weights.keys()])),
      leaderAt: (view) => this.#leaders.leaderAt(view),
      sign: (kind, view, blockHash, epoch = 0) => {
        const content = { kind, epoch, view, blockHash };
        return { ...content, signer: self, signature: scheme.sign(voteSigningRoot(networkId, content)) };
      },
      send: (to, message) => {
        this.invariants.onByzantineMessage(message);
        node.sendMessage(to, message);
      },
      keepBatch: (batch) => {
        this.#batches.set(toHex(batch.ref.digest), batch);
        node.batches.add(batch);
      },
      later: (delayMs, act) => node.later(delayMs, act),
      skewClock: () => {
        node.clockSkewMs = this.#random
          .fork(`skew-${self}-${this.queue.nowMs}`)
          .integer(-MAX_WILD_SKEW_MS, MAX_WILD_SKEW_MS);
      },
      count: (kind) => this.count(kind),
    };
  }
}
