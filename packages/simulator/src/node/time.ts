/**
 * Virtual time under code that knows nothing of it. While a world runs, this process's clock, timers and `Math.random` are
 * the world's: whoever reads the time gets virtual time on the clock of its node, and a timer is an event in the world's
 * queue that dies with the node's life. Which node it is follows the code through every `await` (AsyncLocalStorage).
 *
 * Nothing waits for anything real, so between two events all promises that can settle do so before the event loop comes
 * round once: `settle` is one such round. That is all it takes to make asynchronous code repeat exactly.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { syncBuiltinESMExports } from 'node:module';
import timersPromises from 'node:timers/promises';
import type { EventQueue, Random } from '@squad/consensus/sim';

/** One life of a node, from a start to a crash. */
export interface Life {
  isAlive: boolean;
  clockSkewMs(): number;
  readonly random: Random;
}

const real = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
  clearImmediate: globalThis.clearImmediate,
  dateNow: Date.now,
  performanceNow: performance.now,
  random: Math.random,
};

const { setTimeout: promiseOfTimeout, setImmediate: promiseOfImmediate } = timersPromises;
const realPromises = { setTimeout: promiseOfTimeout, setImmediate: promiseOfImmediate };

/** Every promise that can settle has settled. */
export function settle(): Promise<void> {
  return new Promise((resolve) => real.setImmediate(resolve));
}

class Timer {
  isSet = true;
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  hasRef(): boolean {
    return true;
  }
  [Symbol.toPrimitive](): number {
    return 0;
  }
}

export class VirtualTime {
  readonly lives = new AsyncLocalStorage<Life>();
  /** Those that had a turn since somebody emptied this. */
  readonly ran = new Set<Life>();
  readonly #queue: EventQueue;
  readonly #startMs: number;
  readonly #random: Random;

  /** `startMs`: what the clock says when the queue's time is 0. */
  constructor(queue: EventQueue, startMs: number, random: Random) {
    this.#queue = queue;
    this.#startMs = startMs;
    this.#random = random;
  }

  get nowMs(): number {
    return this.#startMs + this.#queue.nowMs;
  }

  /** Runs `act` as a part of a life, unless that is over. */
  in(life: Life, act: () => void): void {
    if (!life.isAlive) return;
    this.ran.add(life);
    this.lives.run(life, act);
  }

  /** Until the promise of `work` settles, this process lives in virtual time. One at a time. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const set = (delayMs: number, repeat: boolean, act: () => void): Timer => {
      const timer = new Timer();
      const life = this.lives.getStore();
      const arm = (): void => {
        this.#queue.after(Math.max(repeat ? 1 : 0, delayMs), () => {
          if (!timer.isSet || (life && !life.isAlive)) return;
          if (repeat) arm();
          else timer.isSet = false;
          if (life) this.in(life, act);
          else act();
        });
      };
      arm();
      return timer;
    };
    const clear = (timer: unknown): void => {
      if (timer instanceof Timer) timer.isSet = false;
    };
    const replaced = {
      // As in Node: whole milliseconds, and at least one.
      setTimeout: (act: (...a: unknown[]) => void, delayMs = 0, ...a: unknown[]) =>
        set(Math.max(1, Math.trunc(delayMs)), false, () => act(...a)),
      setInterval: (act: (...a: unknown[]) => void, delayMs = 0, ...a: unknown[]) =>
        set(delayMs, true, () => act(...a)),
      setImmediate: (act: (...a: unknown[]) => void, ...a: unknown[]) => set(0, false, () => act(...a)),
      clearTimeout: clear,
      clearInterval: clear,
      clearImmediate: clear,
    };
    const later = (delayMs = 0, value?: unknown) => new Promise((resolve) => set(delayMs, false, () => resolve(value)));
    const localNowMs = () => this.nowMs + (this.lives.getStore()?.clockSkewMs() ?? 0);
    Object.assign(globalThis, replaced);
    // Modules that imported these by name see the change once it is told.
    timersPromises.setTimeout = later as typeof timersPromises.setTimeout;
    timersPromises.setImmediate = ((value?: unknown) => later(0, value)) as typeof timersPromises.setImmediate;
    syncBuiltinESMExports();
    Date.now = localNowMs;
    performance.now = () => this.#queue.nowMs;
    Math.random = () => (this.lives.getStore()?.random ?? this.#random).unit();
    try {
      return await work();
    } finally {
      // A node that is about to start, say, sets its timers in this time still: in real time they would go on for ever.
      await settle();
      const { dateNow, performanceNow, random, ...timers } = real;
      Object.assign(globalThis, timers);
      Object.assign(timersPromises, realPromises);
      syncBuiltinESMExports();
      Date.now = dateNow;
      performance.now = performanceNow;
      Math.random = random;
    }
  }
}
