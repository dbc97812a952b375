/** Links between nodes: delay, loss, duplication, reordering, partitions, slow nodes. */

import type { Random } from './prng.ts';
import type { EventQueue } from './queue.ts';

export interface LinkFaults {
  loss: number;
  duplicate: number;
  /** Mean of an additional delay, which reorders. */
  jitterMs: number;
}

export class SimulatedNetwork {
  readonly faults: LinkFaults = { loss: 0, duplicate: 0, jitterMs: 0 };
  /** Additional delay of everything that a node sends or receives. */
  readonly slowMs: number[];
  readonly #blocked: boolean[][];
  readonly #queue: EventQueue;
  readonly #random: Random;
  readonly #latencyMs: number;
  readonly #count: (kind: string) => void;

  constructor(queue: EventQueue, random: Random, size: number, latencyMs: number, count: (kind: string) => void) {
    this.#queue = queue;
    this.#random = random;
    this.#latencyMs = latencyMs;
    this.#count = count;
    this.slowMs = Array.from({ length: size }, () => 0);
    this.#blocked = Array.from({ length: size }, () => Array.from({ length: size }, () => false));
  }

  send(from: number, to: number, deliver: () => void): void {
    if (this.#blocked[from]![to]) return this.#count('blocked by a partition');
    if (this.faults.loss > 0 && this.#random.chance(this.faults.loss)) return this.#count('lost');
    this.#deliverLater(from, to, deliver);
    if (this.faults.duplicate > 0 && this.#random.chance(this.faults.duplicate)) {
      this.#count('duplicated');
      this.#deliverLater(from, to, deliver);
    }
  }

  #deliverLater(from: number, to: number, deliver: () => void): void {
    const base = 1 + this.#latencyMs * (0.5 + this.#random.unit());
    const jitter = this.faults.jitterMs > 0 ? this.#random.exponential(this.faults.jitterMs) : 0;
    this.#queue.after(base + jitter + this.slowMs[from]! + this.slowMs[to]!, deliver);
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
