/**
 * The L1 that a simulated network follows, and what each validator's endpoint shows of it (R24): late, no further than some
 * block, nothing, a fork that is deeper than the confirmations, or another L1 altogether. Endpoints do not get better when
 * the faults end: the network has to do without.
 */

import { equalBytes, type L1BlockId } from '@squad/types';
import { hexOf } from './memo.ts';
import type { Random } from './prng.ts';

export const EYES = ['good', 'late', 'stalled', 'away', 'forked', 'lying'] as const;
/** What a validator sees of the L1. */
export type Eye = (typeof EYES)[number];

/** Of a schedule. */
export interface L1Schedule {
  /** Virtual time between two blocks of the L1. */
  readonly intervalMs: number;
  /** By identity. */
  readonly eyes: readonly Eye[];
}

/** Number of the genesis file's anchor. */
const FIRST = 1_000;
const MAX_SEEN = 128;
/** The fork of the L1 that all see who see the reorganisation. Liars have one each, behind it. */
const REORGANISED = 1;

/** In most schedules a quorum sees the L1; in some all eyes are of few kinds. */
export function drawL1(random: Random, size: number): L1Schedule {
  const few = random.subset([...EYES]);
  const kinds: readonly Eye[] = few.length > 0 && random.chance(0.4) ? few : EYES;
  const goodChance = random.pick([0, 0.5, 0.8, 0.8]);
  const eyes = Array.from({ length: size }, () => (random.chance(goodChance) ? 'good' : random.pick(kinds)));
  return { intervalMs: random.pick([100, 300, 1_000]), eyes };
}

interface Endpoint {
  readonly eye: Eye;
  readonly delayMs: number;
  /** When it stalls, or shows the reorganisation. */
  readonly turnsAtMs: number;
}

export class SimulatedL1 {
  readonly anchor: L1BlockId;
  readonly #intervalMs: number;
  readonly #endpoints: readonly Endpoint[];
  /** First block that the reorganisation replaced. */
  readonly #forkNumber: number;
  readonly #blocks = new Map<string, L1BlockId>();
  /** By identity: blocks that it was told are confirmed. */
  readonly #seen: readonly Set<string>[];
  readonly #forks = new Map<string, number>();

  constructor({ intervalMs, eyes }: L1Schedule, random: Random) {
    this.#intervalMs = intervalMs;
    this.anchor = this.at(FIRST, 0);
    const reorganisedAtMs = random.integer(300, 3_000);
    this.#forkNumber = this.#headAt(reorganisedAtMs) - random.integer(0, 6);
    this.#endpoints = eyes.map((eye) => ({
      eye,
      delayMs: eye === 'late' ? random.integer(500, 8_000) : random.integer(0, 100),
      turnsAtMs: eye === 'forked' ? reorganisedAtMs + random.integer(0, 500) : random.integer(100, 2_000),
    }));
    this.#seen = eyes.map(() => new Set());
  }

  #headAt(ms: number): number {
    return FIRST + Math.floor(Math.max(0, ms) / this.#intervalMs);
  }

  /** Block `number` of a fork. Before a fork begins it is the block of all. */
  at(number: number, fork: number): L1BlockId {
    const own = this.#isBefore(number, fork) ? 0 : fork;
    const name = `${own} ${number}`;
    let block = this.#blocks.get(name);
    if (!block) {
      const hash = new Uint8Array(32).fill(0x11 + own);
      new DataView(hash.buffer).setUint32(0, number);
      block = { number, hash };
      this.#blocks.set(name, block);
      this.#forks.set(hexOf(hash), own);
    }
    return block;
  }

  #isBefore(number: number, fork: number): boolean {
    return number <= FIRST || (fork === REORGANISED && number < this.#forkNumber);
  }

  /** What a validator holds for confirmed from its final head's anchor on, as a node tells its core. */
  look(identity: number, from: L1BlockId, nowMs: number): readonly L1BlockId[] {
    const { eye, delayMs, turnsAtMs } = this.#endpoints[identity]!;
    if (eye === 'away') return [];
    const seenAtMs = eye === 'stalled' ? Math.min(nowMs, turnsAtMs) : nowMs - delayMs;
    const fork =
      eye === 'lying' ? REORGANISED + 1 + identity : eye === 'forked' && nowMs >= turnsAtMs ? REORGANISED : 0;
    const blocks = [from];
    if (equalBytes(this.at(from.number, fork).hash, from.hash)) {
      const top = Math.min(this.#headAt(seenAtMs), from.number + MAX_SEEN - 1);
      for (let number = from.number + 1; number <= top; number++) blocks.push(this.at(number, fork));
    }
    for (const { hash } of blocks.slice(1)) this.#seen[identity]!.add(hexOf(hash));
    return blocks;
  }

  hasSeen(identity: number, { hash }: L1BlockId): boolean {
    return this.#seen[identity]!.has(hexOf(hash));
  }

  /** Whether a block is an ancestor of another one. */
  leadsTo(below: L1BlockId, above: L1BlockId): boolean {
    const fork = this.#forks.get(hexOf(above.hash));
    return fork !== undefined && equalBytes(this.at(below.number, fork).hash, below.hash);
  }
}
