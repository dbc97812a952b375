/** Makes the trouble of one schedule, and ends it. */

import type { Random } from './prng.ts';
import type { FaultName } from './schedule.ts';
import type { World } from './world.ts';

const MAX_CLOCK_SKEW_MS = 200;

export class FaultInjector {
  readonly #world: World;
  readonly #random: Random;
  #ended = false;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.schedule.random.fork('faults');
  }

  begin(troubleMs: number): void {
    const { network, nodes, schedule, slowDisks } = this.#world;
    const { faults } = schedule;
    const setup = this.#random.fork('setup');
    if (faults.has('loss')) network.faults.loss = setup.pick([0.02, 0.1, 0.25]);
    if (faults.has('duplicate')) network.faults.duplicate = setup.pick([0.05, 0.3]);
    if (faults.has('jitter')) network.faults.jitterMs = setup.pick([10, 60, 200]);
    if (faults.has('slow-node')) network.slowMs[setup.integer(0, nodes.length - 1)] = setup.pick([50, 300]);
    if (faults.has('slow-disk')) for (const node of setup.subset(nodes)) slowDisks.add(node.index);
    if (faults.has('skew')) {
      for (const node of nodes) node.clockSkewMs = setup.integer(-MAX_CLOCK_SKEW_MS, MAX_CLOCK_SKEW_MS);
    }
    const acts: [FaultName, () => void][] = [
      ['partition', () => this.#partition(false)],
      ['asymmetric', () => this.#partition(true)],
      ['crash', () => this.#crashSome()],
      ['crash-all', () => this.#crashAll()],
    ];
    for (const [name, act] of acts) if (faults.has(name)) this.#repeat(this.#random.fork(name), troubleMs, act);
  }

  #repeat(random: Random, troubleMs: number, act: () => void): void {
    this.#world.queue.after(random.integer(50, Math.max(100, troubleMs >> 1)), () => {
      if (this.#ended) return;
      act();
      this.#repeat(random, troubleMs, act);
    });
  }

  #partition(oneWay: boolean): void {
    const { network, nodes, queue } = this.#world;
    const name = oneWay ? 'one-way partition' : 'partition';
    const side = new Set(this.#random.subset(nodes).map(({ index }) => index));
    this.#world.note(name, [...side], () => `${name}: ${[...side].map((i) => `n${i}`).join(' ')} | the others`);
    for (const { index: a } of nodes) {
      for (const { index: b } of nodes) {
        if (side.has(a) && !side.has(b)) {
          network.block(a, b);
          if (!oneWay) network.block(b, a);
        }
      }
    }
    queue.after(this.#random.integer(100, 1_500), () => {
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

  #crashSome(): void {
    for (const node of this.#random.shuffle(this.#world.nodes).slice(0, this.#random.integer(1, 2))) {
      this.#world.crash(node);
      this.#restartLater(node.index, 1_000);
    }
  }

  #crashAll(): void {
    for (const node of this.#world.nodes) {
      this.#world.crash(node);
      this.#restartLater(node.index, 400);
    }
  }

  #restartLater(index: number, withinMs: number): void {
    this.#world.queue.after(this.#random.integer(5, withinMs), () => {
      if (!this.#ended) this.#world.restart(this.#world.nodes[index]!);
    });
  }

  /** Links and clocks are good again; disks keep their speed. */
  end(): void {
    const { network, schedule } = this.#world;
    this.#ended = true;
    network.heal();
    network.faults.loss = 0;
    network.faults.duplicate = 0;
    network.faults.jitterMs = 0;
    network.slowMs.fill(0);
    // Clock skew within the tolerated drift stays: it is no fault that ends.
    if (schedule.faults.has('slow-disk')) this.#world.slowDisks.clear();
  }
}
