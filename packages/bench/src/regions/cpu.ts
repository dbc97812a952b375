/** The cores of a node: what is to be done waits its turn, and how long it takes shows when it is done. */

import type { EventQueue } from '@squad/consensus/sim';

interface Job {
  /** Does it, and says how many microseconds that takes. */
  readonly work: () => number;
  readonly done: () => void;
}

export class Cpu {
  busyUs = 0;
  #idle: number;
  readonly #jobs: Job[] = [];
  readonly #queue: EventQueue;

  constructor(queue: EventQueue, cores: number) {
    this.#queue = queue;
    this.#idle = cores;
  }

  /** `work` runs once a core is free, `done` when its time is over. */
  run(work: () => number, done: () => void = () => {}): void {
    this.#jobs.push({ work, done });
    this.#next();
  }

  #next(): void {
    if (this.#idle === 0) return;
    const job = this.#jobs.shift();
    if (!job) return;
    this.#idle--;
    const costUs = job.work();
    this.busyUs += costUs;
    this.#queue.after(costUs, () => {
      this.#idle++;
      job.done();
      this.#next();
    });
  }
}
