/**
 * A whole network of real nodes in virtual time, from one schedule: sequencers, clients that send transactions, rollups
 * that follow, faults and adversaries, and the checks on all of it.
 */

import {
  ADVERSARIES,
  type AdversaryContext,
  EventQueue,
  FaultInjector,
  type FaultyWorld,
  Invariants,
  InvariantViolation,
  isOverloaded,
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
  fromHex,
  type Genesis,
  LeaderSchedule,
  toHex,
  type ValidatorIndex,
  type ValidatorMessage,
  voteSigningRoot,
} from '@squad/types';
import { Follower } from './follower.ts';
import { createGenesis, GENESIS_TIME_MS, ROLLUP } from './genesis.ts';
import { createFeedPair, Links } from './links.ts';
import { isFor, NodeOfWorld } from './node.ts';
import { type Life, settle, VirtualTime } from './time.ts';

const FOLLOWERS = 2;
const LIVENESS_BOUND_MS = 90_000;
const LIVENESS_HEIGHTS = 3;
const TRANSACTION_BYTES = 40;
const MAX_WILD_SKEW_MS = 30_000;

interface Ordered {
  readonly ref: {
    readonly author: number;
    readonly seq: number;
    readonly rollupId: number;
    readonly digest: Uint8Array;
  };
  readonly previousDigest: Uint8Array;
}

export class NodeWorld implements FaultyWorld {
  readonly schedule: Schedule;
  readonly queue = new EventQueue();
  readonly genesis: Genesis;
  readonly registry: SignatureRegistry;
  readonly network: SimulatedNetwork;
  readonly time: VirtualTime;
  readonly links: Links;
  readonly nodes: NodeOfWorld[];
  readonly invariants: Invariants;
  readonly trace: Trace;
  readonly slowDisks = new Set<number>();
  readonly acts: string[] = [];
  readonly followers: Follower[];
  steps = 0;
  /** The first thing that went wrong. */
  broken: Error | undefined;
  readonly #random: Random;
  readonly #leaders: LeaderSchedule;
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
    this.genesis = createGenesis(weights);
    this.registry = new SignatureRegistry(random.fork('scheme').uint32());
    this.#leaders = new LeaderSchedule(this.genesis.validatorSet);
    const twins = [...byzantine].flatMap(([index, name]) => (name === 'twins' ? [index] : []));
    const indexes = [...weights.keys(), ...twins];
    const count = (kind: string) => this.count(kind);
    this.network = new SimulatedNetwork(this.queue, random.fork('links'), indexes.length, schedule.latencyMs, count);
    this.time = new VirtualTime(this.queue, GENESIS_TIME_MS, random.fork('time'));
    this.links = new Links(this.queue, this.network, this.time);
    this.invariants = new Invariants({
      networkId: this.genesis.networkId,
      genesisTimeMs: GENESIS_TIME_MS,
      weights,
      validatorSet: this.genesis.validatorSet,
      isOverloaded: isOverloaded(weights, byzantine),
      registry: this.registry,
      nodes: () => this.nodes,
      isByzantine: (index) => byzantine.has(index),
      batchOf: (digest) => this.#batches.get(toHex(digest)),
      leaderAt: (view) => this.#leaders.leaderAt(view),
      latestLocalNowMs: () => this.time.nowMs + Math.max(...this.honest.map(({ clockSkewMs }) => clockSkewMs)),
      count,
    });
    this.nodes = indexes.map((index, place) => new NodeOfWorld(this, index, place, random.fork(`node-${place}`)));
    for (const [index, name] of byzantine) {
      for (const node of this.nodes.filter((each) => each.index === index)) {
        node.adversary = ADVERSARIES[name](this.#adversaryContext(node));
      }
      this.count(`adversary ${name}`);
    }
    for (const name of schedule.faults) this.count(`fault ${name}`);
    if (isOverloaded(weights, byzantine)) this.count('more adversaries than tolerated');
    this.count(schedule.settles ? 'settles' : 'does not settle');
    this.followers = Array.from({ length: FOLLOWERS }, (_, i) => new Follower(this, `rollup ${i}`));
    this.#faults = new FaultInjector(this);
  }

  get honest(): NodeOfWorld[] {
    return this.nodes.filter(({ isHonest }) => isHonest);
  }

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
      this.fail(
        'never throws',
        `a promise was rejected and nobody looked: ${error instanceof Error ? error.stack : error}`,
      );
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
    this.invariants.checkLeaders();
    for (const node of this.nodes) node.start();
    for (const node of this.nodes) this.#sendLater(node);
    const life: Life = { isAlive: true, clockSkewMs: () => 0, random: this.#random.fork('followers') };
    for (const follower of this.followers) this.time.in(life, () => void follower.run());
    this.#faults.begin(troubleMs);
    await this.#runUntil(troubleMs);
    if (!settles) return;
    this.note('freeze', [], () => 'the faults end');
    this.#faults.end();
    for (const node of this.nodes) {
      node.disk.atNextSync = undefined;
      this.restart(node);
    }
    this.links.connectAll();
    await this.#becomeLive();
  }

  async #runUntil(untilMs: number): Promise<void> {
    let reached = false;
    this.queue.at(untilMs, () => {
      reached = true;
    });
    while (!reached) {
      this.queue.runNext();
      this.steps++;
      await settle();
      if (this.broken) throw this.broken;
    }
  }

  async #becomeLive(): Promise<void> {
    const height = Math.max(...this.honest.map((node) => this.invariants.cursor(node.place))) + LIVENESS_HEIGHTS;
    const accepted = new Set(this.#accepted);
    const lacking = (): string | undefined => {
      for (const node of this.honest) {
        const final = this.invariants.cursor(node.place);
        if (final < height) return `${node.name} is at height ${final}, not ${height}`;
      }
      for (const follower of this.followers) {
        if (follower.height < height) return `${follower.name} is at height ${follower.height}, not ${height}`;
        const derived = new Set(follower.transactions);
        for (const hash of accepted)
          if (!derived.has(hash)) return `${hash} was accepted, and ${follower.name} lacks it`;
      }
      return undefined;
    };
    const bound = this.queue.nowMs + LIVENESS_BOUND_MS;
    for (let missing = lacking(); missing !== undefined; missing = lacking()) {
      if (this.queue.nowMs > bound) {
        throw new InvariantViolation('liveness', `${LIVENESS_BOUND_MS} ms after the faults ended ${missing}`);
      }
      await this.#runUntil(this.queue.nowMs + 200);
    }
    this.count('everything accepted is in the sequence');
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
    const transaction = new Uint8Array(TRANSACTION_BYTES).fill(node.place + 1);
    new DataView(transaction.buffer).setUint32(0, this.#transactions++);
    node.sequencer
      ?.submit(ROLLUP, [transaction])
      .then(([outcome]) => {
        if (!life.isAlive) return;
        this.count(outcome?.accepted ? 'accepted' : 'turned away');
        if (outcome?.accepted && node.isHonest) this.#accepted.add(toHex(transaction));
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
    if (node.up) return;
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
        for (const { author, seq, digest } of message.acknowledgements) {
          if (seq >= this.invariants.orderedBatches(author)) this.#mustBeDurable(node, 'acknowledges a batch', digest);
        }
      } else if (message.type === 'evidence') {
        if (node.isHonest) this.invariants.onEvidence(node, message.evidence);
      } else {
        this.invariants.onSend(node, message);
      }
    });
  }

  /** A batch that is on somebody's disk. What was never on any can be ordered by nobody. */
  learnBatch({ author, seq, rollupId, previousDigest }: BatchHeader, digest: Uint8Array): void {
    this.#batches.set(toHex(digest), { ref: { author, seq, rollupId, digest }, previousDigest });
  }

  /** R3, R20. */
  #mustBeDurable(node: NodeOfWorld, what: string, digest: Uint8Array): void {
    if (!node.isHonest || node.isBatchDurable(digest)) return;
    this.fail('durable before visible', `${node.name} ${what} ${toHex(digest)}, which is not on its disk`);
  }

  /** A node tells who listens of a soft or final block. */
  onBlock(node: NodeOfWorld, stage: 'soft' | 'final', block: Block, certificate: Certificate): void {
    this.check(() => {
      if (stage === 'soft') return this.invariants.onSoft(node, block, certificate);
      this.invariants.onFinal(node, [block], isFor(certificate, block) ? certificate : undefined);
    });
  }

  /** A node is up again, and not yet at work: what it had shown before must be there. */
  async onRestarted(node: NodeOfWorld, store: NodeStore): Promise<void> {
    if (!node.isHonest) return;
    const cursor = this.invariants.cursor(node.place);
    if (store.head < cursor) {
      return this.fail('recovery', `${node.name} is back at height ${store.head}, and had delivered ${cursor}`);
    }
    for (let height = cursor + 1; height <= store.head; height++) {
      const { block, certificate } = await node.read(height, store);
      this.count('final before a crash, delivered after it');
      this.check(() => this.invariants.onFinal(node, [block], certificate));
    }
    for (const digest of this.#batchesOf(node)) {
      if (node.isBatchDurable(fromHex(digest)) && (await store.readBatch(digest)) === undefined) {
        this.fail('recovery', `${node.name} has lost batch ${digest}, which was on its disk`);
      }
    }
  }

  #batchesOf(node: NodeOfWorld): BatchDigest[] {
    return [...this.#batches].flatMap(([digest, { ref }]) => (ref.author === node.index ? [digest] : []));
  }

  /** Of all rollups the root after a height is the same. */
  onDerived(follower: Follower): void {
    const root = toHex(follower.root);
    const known = this.#roots.get(follower.height);
    this.count('a block derived');
    if (known === undefined) this.#roots.set(follower.height, root);
    else if (known !== root) this.fail('state roots', `${follower.name} has another root at height ${follower.height}`);
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

  // ---------------------------------------------------------------- adversaries

  #adversaryContext(node: NodeOfWorld): AdversaryContext {
    const { index: self } = node;
    const scheme = this.registry.schemeFor(self);
    const others = [...this.schedule.weights.keys()].filter((index) => index !== self);
    return {
      self,
      epoch: 0,
      lastHeight: Number.POSITIVE_INFINITY,
      memory: [],
      others,
      random: this.#random.fork(`adversary-${node.place}`),
      side: new Set(this.#random.fork('side').subset([...this.schedule.weights.keys()])),
      leaderAt: (view) => this.#leaders.leaderAt(view),
      sign: (kind, view, blockHash, epoch = 0) => {
        const content = { kind, epoch, view, blockHash };
        const signature = scheme.sign(voteSigningRoot(this.genesis.networkId, content));
        return { ...content, signer: self, signature };
      },
      send: (to: ValidatorIndex, message: ConsensusMessage) => node.say(to, message),
      keepBatch: () => {},
      later: (delayMs, act) => {
        const { life } = node;
        if (life) this.queue.after(delayMs, () => this.time.in(life, act));
      },
      skewClock: () => {
        node.clockSkewMs = this.#random
          .fork(`skew-${node.place}-${this.queue.nowMs}`)
          .integer(-MAX_WILD_SKEW_MS, MAX_WILD_SKEW_MS);
      },
      count: (kind) => this.count(kind),
    };
  }
}
