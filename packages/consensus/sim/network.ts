/** Links between places: delay, bandwidth, loss, duplication, reordering, partitions, slow nodes. */

import type { Random } from './prng.ts';
import type { EventQueue } from './queue.ts';

export interface LinkFaults {
  loss: number;
  duplicate: number;
  /** Mean of an additional delay, which reorders. */
  jitterMs: number;
  /** What one node can send, to all others together. What is beyond waits its turn. */
  bytesPerMs: number;
}

export class SimulatedNetwork {
  readonly faults: LinkFaults = { loss: 0, duplicate: 0, jitterMs: 0, bytesPerMs: Number.POSITIVE_INFINITY };
  /** Additional delay of everything that a node sends or receives. */
  readonly slowMs: number[];
  readonly #blocked: boolean[][];
  /** How much longer than the mean each link is; not the same in both directions. */
  readonly #stretch: number[][];
  /** Until when each node is busy sending what it was given so far. */
  readonly #busyUntilMs: number[];
  readonly #queue: EventQueue;
  readonly #random: Random;
  readonly #latencyMs: number;
  readonly #count: (kind: string) => void;

  constructor(queue: EventQueue, random: Random, size: number, latencyMs: number, count: (kind: string) => void) {
    const table = <T>(value: T): T[][] => Array.from({ length: size }, () => Array.from({ length: size }, () => value));
    this.#queue = queue;
    this.#random = random;
    this.#latencyMs = latencyMs;
    this.#count = count;
    this.slowMs = Array.from({ length: size }, () => 0);
    this.#busyUntilMs = Array.from({ length: size }, () => 0);
    this.#blocked = table(false);
    this.#stretch = table(1);
  }

  stretchLinks(factor: () => number): void {
    for (const row of this.#stretch) for (let to = 0; to < row.length; to++) row[to] = factor();
  }

  send(from: number, to: number, bytes: number, deliver: () => void): void {
    if (this.#blocked[from]![to]) return this.#count('blocked by a partition');
    if (this.faults.loss > 0 && this.#random.chance(this.faults.loss)) return this.#count('lost');
    const sentAtMs = this.#sentAtMs(from, bytes);
    this.#deliverLater(from, to, sentAtMs, deliver);
    if (this.faults.duplicate > 0 && this.#random.chance(this.faults.duplicate)) {
      this.#count('duplicated');
      this.#deliverLater(from, to, sentAtMs, deliver);
    }
  }

  #sentAtMs(from: number, bytes: number): number {
    const { bytesPerMs } = this.faults;
    if (bytesPerMs === Number.POSITIVE_INFINITY) return this.#queue.nowMs;
    const freeAtMs = this.#busyUntilMs[from]!;
    if (freeAtMs > this.#queue.nowMs) this.#count('queued for bandwidth');
    const sentAtMs = Math.max(this.#queue.nowMs, freeAtMs) + bytes / bytesPerMs;
    this.#busyUntilMs[from] = sentAtMs;
    return sentAtMs;
  }

  #deliverLater(from: number, to: number, sentAtMs: number, deliver: () => void): void {
    const base = 1 + this.#latencyMs * this.#stretch[from]![to]! * (0.5 + this.#random.unit());
    const jitter = this.faults.jitterMs > 0 ? this.#random.exponential(this.faults.jitterMs) : 0;
    this.#queue.at(sentAtMs + base + jitter + this.slowMs[from]! + this.slowMs[to]!, deliver);
  }

  block(from: number, to: number): void {
    this.#blocked[from]![to] = true;
  }

  heal(): void {
    for (const row of this.#blocked) row.fill(false);
  }

  isBlocked(from: number, to: number): boolean {
    return this.#blocked[from]![to]!;
  }
}
