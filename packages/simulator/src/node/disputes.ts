/**
 * Trouble between operators and of nodes that were away (R22): files that disagree about the next set, until they agree; and
 * a node that is off through three epochs. Both last until the others got somewhere, the second beyond all other faults.
 */

import { isFit, type Random, type SetDispute } from '@squad/consensus/sim';
import { type Epoch, lastHeightOf, type ValidatorSet, validatorSetHash } from '@squad/types';
import type { NodeOfWorld } from './node.ts';
import type { NodeWorld } from './world.ts';

/** Virtual time within which the others have to be three epochs on, or the one that is off comes back before. */
const MAX_ABSENCE_MS = 60_000;
/** Virtual time within which the disputed set has to be named, or the operators agree before. */
const MAX_DISPUTE_MS = 30_000;
const STEP_MS = 100;

/** Operators whose files name another set. */
export class Disputes {
  readonly #world: NodeWorld;
  readonly #dispute: SetDispute | undefined;
  #isSettled = false;

  constructor(world: NodeWorld) {
    this.#world = world;
    this.#dispute = world.schedule.epochs?.dispute;
  }

  /** What the file of a node says that those of the others do not. */
  setFor(identity: number, epoch: Epoch): ValidatorSet | undefined {
    return this.#isSettled ? undefined : this.#saidBy(identity, epoch);
  }

  /** The hash of what it says now, or said once: a vote may be seen long after it was made. */
  hashSaidBy(identity: number, epoch: Epoch): Uint8Array | undefined {
    const set = this.#saidBy(identity, epoch);
    return set && validatorSetHash(set);
  }

  #saidBy(identity: number, epoch: Epoch): ValidatorSet | undefined {
    const dispute = this.#dispute;
    if (dispute?.epoch !== epoch || !dispute.identities.includes(identity)) return undefined;
    return this.#world.plan.disputedSet(epoch);
  }

  /** Whether there is one about a set that need not be named yet. */
  get isToCome(): boolean {
    const { epochs } = this.#world.schedule;
    if (!epochs || !this.#dispute) return false;
    return this.#world.final.chain.length < lastHeightOf(this.#dispute.epoch - 1, epochs.lengthBlocks);
  }

  /** Until some time after the set has to be named; then all files are the same. */
  async settle(): Promise<void> {
    const { epochs, byzantine } = this.#world.schedule;
    const dispute = this.#dispute;
    if (!epochs || !dispute) return;
    const world = this.#world;
    const ending = dispute.epoch - 1;
    const bound = world.queue.nowMs + MAX_DISPUTE_MS;
    while (this.isToCome && world.queue.nowMs < bound) await world.runUntil(world.queue.nowMs + STEP_MS);
    await world.runUntil(world.queue.nowMs + dispute.lastsMs);
    const isSplit = world.plan.isSplit(dispute, new Set(byzantine.keys()));
    const ended = world.honest.find(({ disk }) => disk.ends.has(ending));
    if (isSplit && ended) {
      return world.fail('the end of an epoch', `${ended.name} ends epoch ${ending}, on whose end no quorum agrees`);
    }
    if (ended) world.count('an epoch ends while a few disagree');
    else if (isSplit && !this.isToCome) world.count('no epoch ends while no quorum agrees');
    this.#isSettled = true;
    world.note('agreement', [dispute.epoch], () => `the operators agree on the set of epoch ${dispute.epoch}`);
    for (const node of world.nodes) if (dispute.identities.includes(node.index)) node.setsChanged();
  }
}

/** One that the others can do without is off, until they are three epochs on. */
export class Absence {
  readonly #world: NodeWorld;
  #node: NodeOfWorld | undefined;

  constructor(world: NodeWorld) {
    this.#world = world;
  }

  /** Whether it may not be started yet. */
  isOf(node: NodeOfWorld): boolean {
    return this.#node === node;
  }

  get isLasting(): boolean {
    return this.#node !== undefined;
  }

  begin(random: Random): void {
    const world = this.#world;
    const { byzantine, epochs } = world.schedule;
    if (!epochs?.hasAbsentee) return;
    const candidates = world.honest.filter(({ index }) =>
      epochs.sets.every((set) => isFit(set, new Set([...byzantine.keys(), index]))),
    );
    // Who validates once and never again has no place with those whom it could hear from later.
    const leavers = candidates.filter(({ index }) =>
      epochs.sets.every((set, i) => (i < (epochs.repeatsFrom ?? 0) ? set[index]! > 0 : set[index] === 0)),
    );
    if (candidates.length === 0) return;
    const node = random.pick(leavers.length > 0 ? leavers : candidates);
    world.queue.after(random.integer(10, 600), () => {
      this.#node = node;
      world.crash(node);
      const isValidator = world.plan.at(0).positionOf(node.index) !== undefined;
      world.count(`${isValidator ? 'a validator' : 'a follower'} is off through three epochs`);
    });
  }

  async end(): Promise<void> {
    const world = this.#world;
    const node = this.#node;
    if (!node) return;
    const height = world.final.cursor(node.place) + 3 * world.schedule.epochs!.lengthBlocks + 1;
    const bound = world.queue.nowMs + MAX_ABSENCE_MS;
    while (world.final.chain.length <= height && world.queue.nowMs < bound) {
      await world.runUntil(world.queue.nowMs + STEP_MS);
    }
    this.#node = undefined;
    if (world.final.chain.length > height) world.count('back after three epochs');
    world.restart(node);
  }
}
