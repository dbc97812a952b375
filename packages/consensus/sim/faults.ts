/** Makes the trouble of one schedule, and ends it. Every single act has a number, so that a schedule can be shrunk by it. */

import type { SimulatedNetwork } from './network.ts';
import type { Random } from './prng.ts';
import type { EventQueue } from './queue.ts';
import { type FaultName, randomOf, type Schedule } from './schedule.ts';

const MAX_CLOCK_SKEW_MS = 200;
/** Of the calls of a disk that fail, how many may be one of a start. */
const START_CALL_CHANCE = 0.3;
const MAX_CALLS_AT_START = 30;

/** Most calls of a node at work are appends and syncs: the others fail by their own number. */
export const DISK_CALL_KINDS = ['any', 'read', 'index write'] as const;
export type DiskCallKind = (typeof DISK_CALL_KINDS)[number];
/** A node makes a few in the time that a schedule takes. */
const MAX_CALLS_AT_WORK: Record<DiskCallKind, number> = { any: 8, read: 3, 'index write': 1 };

/** A node, as far as faults go. */
export interface FaultyNode {
  readonly index: number;
  readonly place: number;
  readonly name: string;
  readonly up: boolean;
  clockSkewMs: number;
  /** What happens instead of the next sync (`failing`), or between its end and all that waited for it. */
  atNextSync(failing: boolean, act: () => void): void;
  /**
   * The `nth` call of its disk of this kind from now on fails. `ended`: the node has stopped for that. Only of a node with a
   * whole store.
   */
  failDiskCall?(kind: DiskCallKind, nth: number, ended: () => void): void;
}

/** A world that trouble can be made in. */
export interface FaultyWorld {
  readonly schedule: Schedule;
  readonly queue: EventQueue;
  readonly network: SimulatedNetwork;
  readonly nodes: readonly FaultyNode[];
  readonly slowDisks: Set<number>;
  readonly acts: string[];
  note(kind: string, numbers: readonly number[], words: () => string): void;
  count(kind: string): void;
  connect(node: FaultyNode): void;
  crash(node: FaultyNode): void;
  restart(node: FaultyNode): void;
}

type Act = (random: Random) => void;

export class FaultInjector {
  readonly #world: FaultyWorld;
  readonly #random: Random;
  #ended = false;

  constructor(world: FaultyWorld) {
    this.#world = world;
    this.#random = randomOf(world.schedule).fork('faults');
  }

  begin(troubleMs: number): void {
    const { network, nodes, schedule, slowDisks } = this.#world;
    const { faults } = schedule;
    const setup = (name: FaultName): Random | undefined => (faults.has(name) ? this.#random.fork(name) : undefined);
    const loss = setup('loss');
    if (loss) network.faults.loss = loss.pick([0.02, 0.1, 0.25]);
    const duplicate = setup('duplicate');
    if (duplicate) network.faults.duplicate = duplicate.pick([0.05, 0.3]);
    const jitter = setup('jitter');
    if (jitter) network.faults.jitterMs = jitter.pick([10, 60, 200]);
    const wan = setup('wan');
    if (wan) network.stretchLinks(() => wan.pick([0.2, 1, 1, 2, 5]));
    const bandwidth = setup('bandwidth');
    if (bandwidth) network.faults.bytesPerMs = bandwidth.pick([10, 30, 100]);
    const slow = setup('slow-node');
    if (slow) network.slowMs[slow.integer(0, nodes.length - 1)] = slow.pick([50, 300]);
    const disks = setup('slow-disk');
    if (disks) for (const node of disks.subset(nodes)) slowDisks.add(node.place);
    const skew = setup('skew');
    if (skew) for (const node of nodes) node.clockSkewMs = skew.integer(-MAX_CLOCK_SKEW_MS, MAX_CLOCK_SKEW_MS);
    const acts: [FaultName, Act][] = [
      ['partition', (random) => this.#partition(random, false)],
      ['asymmetric', (random) => this.#partition(random, true)],
      ['crash', (random) => this.#crashSome(random)],
      ['crash-all', (random) => this.#crashAll(random)],
      ['crash-at-sync', (random) => this.#crashAtSync(random, false)],
      ['disk-failure', (random) => this.#crashAtSync(random, true)],
      ['disk-call', (random) => this.#failDiskCall(random)],
    ];
    for (const [name, act] of acts) if (faults.has(name)) this.#repeat(name, troubleMs, act);
  }

  #repeat(name: FaultName, troubleMs: number, act: Act, ordinal = 1): void {
    const random = this.#random.fork(`${name}#${ordinal}`);
    this.#world.queue.after(random.integer(50, Math.max(100, troubleMs >> 1)), () => {
      if (this.#ended) return;
      const label = `${name}#${ordinal}`;
      if (!this.#world.schedule.without.has(label)) {
        this.#world.acts.push(label);
        act(random);
      }
      this.#repeat(name, troubleMs, act, ordinal + 1);
    });
  }

  #partition(random: Random, oneWay: boolean): void {
    const { network, nodes, queue } = this.#world;
    const name = oneWay ? 'one-way partition' : 'partition';
    const side = new Set(random.subset(nodes).map(({ place }) => place));
    this.#world.note(name, [...side], () => `${name}: ${[...side].map((i) => nodes[i]!.name).join(' ')} | the others`);
    for (const { place: a } of nodes) {
      for (const { place: b } of nodes) {
        if (side.has(a) && !side.has(b)) {
          network.block(a, b);
          if (!oneWay) network.block(b, a);
        }
      }
    }
    queue.after(random.integer(100, 1_500), () => {
      if (this.#ended) return;
      this.#heal();
    });
  }

  #heal(): void {
    const world = this.#world;
    world.note('heal', [], () => 'the network heals');
    world.network.heal();
    for (const node of world.nodes) if (node.up) world.connect(node);
  }

  #crashSome(random: Random): void {
    for (const node of random.shuffle(this.#world.nodes).slice(0, random.integer(1, 2))) {
      this.#world.crash(node);
      this.#restartLater(random, node.place, 1_000);
    }
  }

  #crashAll(random: Random): void {
    for (const node of this.#world.nodes) {
      this.#world.crash(node);
      this.#restartLater(random, node.place, 400);
    }
  }

  /**
   * The crash meets the moment in which a sync ends: what it made durable is on the disk, and nobody has heard of it. Or
   * the sync fails, and the node that can promise nothing any more stops.
   */
  #crashAtSync(random: Random, failing: boolean): void {
    for (const node of random.subset(this.#world.nodes)) {
      node.atNextSync(failing, () => {
        if (this.#ended) return;
        this.#world.count(failing ? 'a sync fails' : 'crash between sync and send');
        this.#world.crash(node);
        this.#restartLater(random, node.place, 600);
      });
    }
  }

  /** One of the calls that a node at work makes, or one of those with which it starts. Unlike a crash nobody stops it from outside. */
  #failDiskCall(random: Random): void {
    const world = this.#world;
    for (const node of random.subset(world.nodes)) {
      const isAtStart = random.chance(START_CALL_CHANCE);
      if (isAtStart) {
        world.crash(node);
        this.#restartLater(random, node.place, 400);
      }
      const kind = isAtStart ? 'any' : random.pick(DISK_CALL_KINDS);
      const nth = random.integer(1, isAtStart ? MAX_CALLS_AT_START : MAX_CALLS_AT_WORK[kind]);
      const restartsAfterMs = random.integer(5, 600);
      // Also after the faults have ended: of an index that cannot be written a node hears at its next sync.
      node.failDiskCall?.(kind, nth, () => world.queue.after(restartsAfterMs, () => world.restart(node)));
    }
  }

  #restartLater(random: Random, place: number, withinMs: number): void {
    this.#world.queue.after(random.integer(5, withinMs), () => {
      if (!this.#ended) this.#world.restart(this.#world.nodes[place]!);
    });
  }

  /** Links and disks are good again. Clock skew within the tolerated drift stays: it is no fault that ends. */
  end(): void {
    const { network, slowDisks } = this.#world;
    this.#ended = true;
    network.heal();
    network.faults.loss = 0;
    network.faults.duplicate = 0;
    network.faults.jitterMs = 0;
    network.faults.bytesPerMs = Number.POSITIVE_INFINITY;
    network.slowMs.fill(0);
    slowDisks.clear();
  }
}
