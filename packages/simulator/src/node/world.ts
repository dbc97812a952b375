/**
 * A whole network of real nodes in virtual time, from one schedule: sequencers, clients that send transactions, rollups
 * that follow, faults and adversaries, and the checks on all of it.
 */

import { epochOf } from '@squad/consensus';
import {
  type EpochPlan,
  EventQueue,
  FaultInjector,
  type FaultyWorld,
  FinalLedger,
  Invariants,
  InvariantViolation,
  identityOfFollower,
  isOverloaded,
  type PlannedEpoch,
  type Random,
  randomOf,
  type Schedule,
  SignatureRegistry,
  SimulatedNetwork,
  Trace,
} from '@squad/consensus/sim';
import type { FeedStream } from '@squad/network';
import type { NodeStore } from '@squad/storage';
import {
  type BatchDigest,
  type BatchHeader,
  type Block,
  batchDigest,
  type Certificate,
  type ConsensusMessage,
  type Epoch,
  epochOfEvidence,
  fromHex,
  type Genesis,
  genesisBlock,
  MAX_BUNDLE_BATCHES,
  toHex,
  type ValidatorMessage,
  validatorSetHash,
} from '@squad/types';
import { beyondBounds } from './bounds.ts';
import { ByzantineNodes } from './byzantine.ts';
import { callThatFailed } from './disk-calls.ts';
import { Absence, Disputes } from './disputes.ts';
import { Follower } from './follower.ts';
import { createGenesis, createPlan, GENESIS_TIME_MS, ROLLUP } from './genesis.ts';
import { createFeedPair, Links } from './links.ts';
import { becomeLive } from './liveness.ts';
import { isFor, NodeOfWorld } from './node.ts';
import { type Life, settle, VirtualTime } from './time.ts';

const FOLLOWERS = 2;
const TRANSACTION_BYTES = 40;
/** How often what a client sends is a bundle. */
const BUNDLE_CHANCE = 0.15;

interface Ordered {
  /** Whose lane it is in. */
  readonly identity: number | undefined;
  readonly ref: {
    readonly author: number;
    readonly seq: number;
    readonly rollupId: number;
    readonly digest: Uint8Array;
    readonly joinsNext: boolean;
  };
  readonly previousDigest: Uint8Array;
  readonly madeAtMs: number;
}

export class NodeWorld implements FaultyWorld {
  readonly schedule: Schedule;
  readonly queue = new EventQueue();
  readonly plan: EpochPlan;
  readonly genesis: Genesis;
  /** What is final, of all epochs. */
  readonly final: FinalLedger;
  readonly registry: SignatureRegistry;
  readonly network: SimulatedNetwork;
  readonly time: VirtualTime;
  readonly links: Links;
  readonly nodes: NodeOfWorld[];
  readonly trace: Trace;
  readonly slowDisks = new Set<number>();
  readonly acts: string[] = [];
  readonly followers: Follower[];
  steps = 0;
  /** The first thing that went wrong. */
  broken: Error | undefined;
  readonly #random: Random;
  /** By epoch, each from when the first node begins it. */
  readonly #rules = new Map<Epoch, Invariants>();
  readonly disputes: Disputes;
  readonly #absence: Absence;
  readonly byzantine: ByzantineNodes;
  readonly #faults: FaultInjector;
  readonly #batches = new Map<BatchDigest, Ordered>();
  /** By height: the state root that the first rollup derived. */
  readonly #roots = new Map<number, string>();
  /** Transactions that an honest node said it had accepted. */
  readonly #accepted = new Set<string>();
  #transactions = 0;

  constructor(schedule: Schedule, traceLines: number) {
    const { weights, byzantine } = schedule;
    const random = randomOf(schedule);
    this.schedule = schedule;
    this.#random = random;
    this.trace = new Trace(traceLines, () => this.nodes.map(({ name }) => name));
    this.plan = createPlan(schedule);
    this.genesis = createGenesis(this.plan, schedule);
    const root = genesisBlock(this.genesis.networkId, GENESIS_TIME_MS);
    this.final = new FinalLedger(root);
    this.registry = new SignatureRegistry(random.fork('scheme').uint32());
    const twins = [...byzantine].flatMap(([index, name]) => (name === 'twins' ? [index] : []));
    const indexes = [...weights.keys(), ...twins];
    const count = (kind: string) => this.count(kind);
    this.network = new SimulatedNetwork(this.queue, random.fork('links'), indexes.length, schedule.latencyMs, count);
    this.time = new VirtualTime(this.queue, GENESIS_TIME_MS, random.fork('time'));
    this.links = new Links(this.queue, this.network, this.time);
    this.byzantine = new ByzantineNodes(this, random);
    this.disputes = new Disputes(this);
    this.#absence = new Absence(this);
    this.#rules.set(0, this.#rulesFrom(this.plan.at(0), root));
    this.nodes = indexes.map((index, place) => new NodeOfWorld(this, index, place, random.fork(`node-${place}`)));
    for (const name of byzantine.values()) this.count(`adversary ${name}`);
    for (const name of schedule.faults) this.count(`fault ${name}`);
    if (isOverloaded(weights, byzantine)) this.count('more adversaries than tolerated');
    this.count(schedule.settles ? 'settles' : 'does not settle');
    this.followers = Array.from({ length: FOLLOWERS }, (_, i) => new Follower(this, `rollup ${i}`));
    this.#faults = new FaultInjector(this);
  }

  get honest(): NodeOfWorld[] {
    return this.nodes.filter(({ isHonest }) => isHonest);
  }

  // ---------------------------------------------------------------- epochs

  /** The invariants of an epoch that some node has begun. */
  rulesOf(epoch: Epoch): Invariants | undefined {
    const known = this.#rules.get(epoch);
    if (known || epoch === 0) return known;
    const ended = this.nodes.find(({ disk }) => disk.ends.has(epoch - 1))?.disk.ends.get(epoch - 1);
    if (!ended) return undefined;
    const rules = this.#rulesFrom(this.plan.at(epoch), ended.block);
    rules.checkLeaders();
    this.#rules.set(epoch, rules);
    this.count('an epoch begins');
    return rules;
  }

  #rulesFrom(epoch: PlannedEpoch, root: Block): Invariants {
    const { number, weights, validatorSet, leaders, lastHeight } = epoch;
    const { byzantine, epochs } = this.schedule;
    const bounds = {
      number,
      root,
      lastHeight,
      nextSetHash: this.plan.nextSetHash(number),
      hashOfSet: validatorSetHash,
      places: 2 * this.schedule.weights.length,
      disputedHash: (place: number) => this.disputes.hashSaidBy(this.nodes[place]!.index, number + 1),
    };
    return new Invariants(
      {
        networkId: this.genesis.networkId,
        genesisTimeMs: GENESIS_TIME_MS,
        weights,
        validatorSet,
        isOverloaded: isOverloaded(this.schedule.weights, byzantine),
        registry: this.registry,
        nodes: () =>
          this.nodes.flatMap((node) => (epoch.positionOf(node.index) === undefined ? [] : [node.observedIn(epoch)])),
        isByzantine: (position) => byzantine.has(epoch.members[position] ?? identityOfFollower(position)),
        batchOf: (digest) => this.#batches.get(toHex(digest)),
        leaderAt: (view) => leaders.leaderAt(view),
        nowMs: () => this.queue.nowMs,
        latestLocalNowMs: () => this.time.nowMs + Math.max(...this.honest.map(({ clockSkewMs }) => clockSkewMs)),
        count: (kind) => this.count(kind),
        epoch: epochs && bounds,
      },
      this.final,
    );
  }

  /** A node has gone on to the next epoch: the end of the one before has to be on its disk. */
  onEpochBegun(node: NodeOfWorld): void {
    const { number } = node.epoch;
    const before = this.plan.at(number - 1);
    const ended = node.disk.ends.get(before.number);
    this.note('epoch', [node.place, number], () => `${node.name} begins epoch ${number}`);
    if (!ended)
      return this.fail('durable before visible', `${node.name} ended an epoch that its disk knows nothing of`);
    const { block, proof } = ended;
    this.check(() => this.rulesOf(before.number)?.onEpochEnded(node.observedIn(before), block, proof));
    if (before.positionOf(node.index) === undefined && node.epoch.positionOf(node.index) !== undefined)
      this.count('a node becomes a validator');
    if (before.positionOf(node.index) !== undefined && node.epoch.positionOf(node.index) === undefined)
      this.count('a validator is one no more');
  }

  // ---------------------------------------------------------------- what others look at

  count(kind: string): void {
    this.trace.count(kind);
  }

  note(kind: string, numbers: readonly number[], words: () => string): void {
    this.trace.add(this.queue.nowMs, kind, numbers, words);
  }

  /** What goes wrong inside of node code is remembered, whatever that code does with an exception. */
  check(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.broken ??= error instanceof Error ? error : new Error(String(error));
    }
  }

  fail(invariant: string, message: string): void {
    this.broken ??= new InvariantViolation(invariant, message);
  }

  // ---------------------------------------------------------------- the run

  /** Throws the first violation. */
  async run(): Promise<void> {
    const onUnhandled = (error: unknown): void => {
      const failure = callThatFailed(error);
      // As the process does (cli/src/serve.ts); in a life that is over it is of no matter.
      if (failure) return this.nodes.find(({ disk }) => disk.calls.last === failure)?.endItself();
      const what = error instanceof Error ? error.stack : error;
      this.fail('never throws', `a promise was rejected and nobody looked: ${what}`);
    };
    process.on('unhandledRejection', onUnhandled);
    try {
      await this.time.during(() => this.#run());
    } finally {
      process.off('unhandledRejection', onUnhandled);
    }
  }

  async #run(): Promise<void> {
    const { troubleMs, settles } = this.schedule;
    this.#rules.get(0)!.checkLeaders();
    for (const node of this.nodes) node.start();
    for (const node of this.nodes) this.#sendLater(node);
    const life: Life = { isAlive: true, clockSkewMs: () => 0, random: this.#random.fork('followers') };
    for (const follower of this.followers) this.time.in(life, () => void follower.run());
    this.#faults.begin(troubleMs);
    this.#absence.begin(this.#random.fork('absentee'));
    await this.runUntil(troubleMs);
    // Both wait for the others to get somewhere, which they hardly do as long as there are faults.
    if (this.disputes.isToCome || this.#absence.isLasting) this.#freeze();
    await this.disputes.settle();
    await this.#absence.end();
    if (!settles) return;
    this.#freeze();
    await becomeLive(this, () => this.#accepted);
  }

  #freeze(): void {
    this.note('freeze', [], () => 'the faults end');
    this.#faults.end();
    for (const node of this.nodes) {
      node.disk.atNextSync = undefined;
      node.disk.calls.spare();
      this.restart(node);
    }
    this.links.connectAll();
  }

  async runUntil(untilMs: number): Promise<void> {
    let reached = false;
    this.queue.at(untilMs, () => {
      reached = true;
    });
    while (!reached) {
      this.queue.runNext();
      this.steps++;
      await settle();
      this.#checkBounds();
      if (this.broken) throw this.broken;
    }
  }

  /** R23. */
  #checkBounds(): void {
    const { ran } = this.time;
    for (const node of ran.size > 0 ? this.honest : []) {
      if (!node.life || !ran.has(node.life)) continue;
      this.count('bounds looked at');
      const beyond = beyondBounds(node);
      if (beyond) this.fail('bounds', `${node.name} holds ${beyond}`);
    }
    ran.clear();
  }

  #sendLater(node: NodeOfWorld): void {
    const random = node.random.fork(`client-${this.queue.nowMs}`);
    this.queue.after(1 + random.exponential(this.schedule.batchIntervalMs), () => {
      const { life, sequencer } = node;
      if (life && sequencer) this.time.in(life, () => this.#submit(node, life));
      this.#sendLater(node);
    });
  }

  #submit(node: NodeOfWorld, life: Life): void {
    const size = node.random.chance(BUNDLE_CHANCE) ? node.random.integer(2, MAX_BUNDLE_BATCHES) : 1;
    const transactions = Array.from({ length: size }, () => {
      const transaction = new Uint8Array(TRANSACTION_BYTES).fill(node.place + 1);
      new DataView(transaction.buffer).setUint32(0, this.#transactions++);
      return transaction;
    });
    const bundle = transactions.map((transaction) => ({ rollupId: ROLLUP, transaction }));
    const { sequencer } = node;
    const outcome = size === 1 ? sequencer?.submit(ROLLUP, transactions) : sequencer?.submitBundle(bundle as never);
    outcome
      ?.then((outcomes) => {
        if (!life.isAlive) return;
        const accepted = 'accepted' in outcomes ? outcomes.accepted : outcomes[0]?.accepted === true;
        this.count(`${size === 1 ? '' : 'a bundle '}${accepted ? 'accepted' : 'turned away'}`);
        // A bundle of a validator that leaves the set is ordered nowhere (R22).
        if (!accepted || !node.isHonest || (size > 1 && this.schedule.epochs)) return;
        for (const transaction of transactions) this.#accepted.add(toHex(transaction));
      })
      .catch((error: unknown) => {
        if (life.isAlive) this.fail('never throws', `a submission was rejected: ${error}`);
      });
  }

  // ---------------------------------------------------------------- faults

  connect(): void {
    this.links.connectAll();
  }

  crash(node: NodeOfWorld): void {
    if (!node.up) return;
    this.note('crash', [node.place], () => `${node.name} crashes`);
    node.crash();
  }

  restart(node: NodeOfWorld): void {
    if (node.up || this.#absence.isOf(node)) return;
    this.note('restart', [node.place], () => `${node.name} starts again`);
    node.start();
  }

  // ---------------------------------------------------------------- what is seen

  noteFrame(from: number, to: number, message: ValidatorMessage | undefined): void {
    const { nowMs } = this.queue;
    if (message === undefined) return this.trace.add(nowMs, 'garbage', [from, to], () => 'garbage', [from, to]);
    if (message.type === 'batch') {
      const { author, seq } = message.batch.signed.header;
      return this.trace.add(nowMs, 'batch', [from, to, author, seq], () => `batch ${author}/${seq}`, [from, to]);
    }
    if (message.type === 'acknowledgements') {
      const words = () => message.acknowledgements.map(({ author, seq }) => `${author}/${seq}`).join(' ');
      return this.trace.add(nowMs, 'acknowledgements', [from, to], () => `holds ${words()}`, [from, to]);
    }
    if (message.type === 'evidence') {
      const { kind } = message.evidence;
      return this.trace.add(nowMs, 'evidence', [from, to], () => `evidence ${kind}`, [from, to]);
    }
    this.trace.addMessage(nowMs, message, from, to);
  }

  /** Everything that a node lets out, as it would be if the node were honest. */
  onSend(node: NodeOfWorld, message: ValidatorMessage): void {
    this.check(() => {
      if (message.type === 'batch') {
        this.#mustBeDurable(node, 'sends its batch', batchDigest(message.batch.signed.header));
      } else if (message.type === 'acknowledgements') {
        // Of a lane that is ordered further than it is held the end that is final is named: nothing rests on that.
        const rules = this.rulesOf(message.epoch);
        for (const { author, seq, digest } of message.acknowledgements) {
          if (seq >= (rules?.orderedBatches(author) ?? 0)) this.#mustBeDurable(node, 'acknowledges a batch', digest);
        }
      } else if (message.type === 'evidence') {
        const epoch = epochOfEvidence(message.evidence);
        if (node.isHonest) this.rulesOf(epoch)?.onEvidence(node.observedIn(this.plan.at(epoch)), message.evidence);
      } else {
        const epoch = epochOf(message);
        const rules = this.rulesOf(epoch);
        if (rules) rules.onSend(node.observedIn(this.plan.at(epoch)), message);
        else if (node.isHonest) this.fail('epoch', `${node.name} speaks in epoch ${epoch}, which nobody has begun`);
      }
    });
  }

  /** A Byzantine message may be of any epoch. */
  learnByzantine(message: ConsensusMessage): void {
    this.check(() => this.rulesOf(epochOf(message))?.onByzantineMessage(message));
  }

  /** A node turns its back on another one. */
  onMisbehaved(node: NodeOfWorld, identity: number, reason: string): void {
    const { weights, byzantine } = this.schedule;
    this.count('misbehaved');
    // With certificates that exclude each other honest nodes build on either, and each is wrong to those on the other.
    if (byzantine.has(node.index) || byzantine.has(identity) || isOverloaded(weights, byzantine)) return;
    this.fail('no honest node accused', `${node.name} says of honest n${identity}: ${reason}`);
  }

  /** A batch that is on somebody's disk. What was never on any can be ordered by nobody. */
  learnBatch(header: BatchHeader, digest: Uint8Array): void {
    const { epoch, author, seq, rollupId, joinsNext, previousDigest, createdAtMs } = header;
    const identity = this.plan.at(epoch).members[author];
    // By the clock of its author, which is off.
    const skewMs = this.nodes.find(({ index }) => index === identity)?.clockSkewMs ?? 0;
    const madeAtMs = createdAtMs - GENESIS_TIME_MS - skewMs;
    const ref = { author, seq, rollupId, digest, joinsNext };
    this.#batches.set(toHex(digest), { identity, ref, previousDigest, madeAtMs });
  }

  /** R3, R20. */
  #mustBeDurable(node: NodeOfWorld, what: string, digest: Uint8Array): void {
    if (!node.isHonest || node.isBatchDurable(digest)) return;
    this.fail('durable before visible', `${node.name} ${what} ${toHex(digest)}, which is not on its disk`);
  }

  /** A node tells who listens of a soft or final block. */
  onBlock(node: NodeOfWorld, stage: 'soft' | 'final', block: Block, certificate: Certificate): void {
    this.check(() => {
      const epoch = this.plan.at(block.header.epoch);
      const rules = this.rulesOf(epoch.number);
      if (!rules) return this.fail('epoch', `${node.name}: a block of epoch ${epoch.number}, which nobody has begun`);
      if (stage === 'soft') return rules.onSoft(node.observedIn(epoch), block, certificate);
      rules.onFinal(node.observedIn(epoch), [block], isFor(certificate, block) ? certificate : undefined);
    });
  }

  /** A node is up again, and not yet at work: what it had shown before must be there. */
  async onRestarted(node: NodeOfWorld, store: NodeStore): Promise<void> {
    if (!node.isHonest) return;
    const cursor = this.final.cursor(node.place);
    if (store.head < cursor) {
      return this.fail('recovery', `${node.name} is back at height ${store.head}, and had delivered ${cursor}`);
    }
    for (let height = cursor + 1; height <= store.head; height++) {
      const { block, certificate } = await node.read(height, store);
      this.count('final before a crash, delivered after it');
      const epoch = this.plan.at(block.header.epoch);
      const own = certificate && isFor(certificate, block) ? certificate : undefined;
      this.check(() => this.rulesOf(epoch.number)!.onFinal(node.observedIn(epoch), [block], own));
    }
    for (const digest of this.#batchesOf(node)) {
      if (node.isBatchDurable(fromHex(digest)) && (await store.readBatch(digest)) === undefined) {
        this.fail('recovery', `${node.name} has lost batch ${digest}, which was on its disk`);
      }
    }
  }

  #batchesOf(node: NodeOfWorld): BatchDigest[] {
    return [...this.#batches].flatMap(([digest, { identity }]) => (identity === node.index ? [digest] : []));
  }

  /** Of all rollups the root after a height is the same. */
  onDerived(follower: Follower): void {
    const root = toHex(follower.root);
    const known = this.#roots.get(follower.height);
    this.count('a block derived');
    if (known === undefined) this.#roots.set(follower.height, root);
    else if (known !== root) this.fail('state roots', `${follower.name} has another root at height ${follower.height}`);
  }

  /** The end of an epoch, of one of the sequencers; undefined if that is down or does not know of it. */
  async handOverOf(follower: Follower, epoch: Epoch): Promise<Uint8Array | undefined> {
    const random = this.#random.fork(`hand-over-${follower.name}-${this.queue.nowMs}`);
    return random.pick(this.honest).sequencer?.handOvers.encoded(epoch);
  }

  /** A feed from one of the sequencers that are up; none if that one is not. */
  openFeed(follower: Follower): FeedStream | undefined {
    const random = this.#random.fork(`feed-${follower.name}-${this.queue.nowMs}`);
    const { feed, life } = random.pick(this.honest);
    if (!feed || !life) return undefined;
    const client: Life = { isAlive: true, clockSkewMs: () => 0, random };
    const pair = createFeedPair(this.queue, this.time, () => this.schedule.latencyMs, life, client);
    this.time.in(life, () => feed.onStream(pair.server));
    return pair.client;
  }
}
