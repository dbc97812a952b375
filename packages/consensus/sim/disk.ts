/**
 * A simulated log (R20). What is appended is lost in a crash until a sync that began after it has ended; one sync covers
 * all that was appended before it. Effects wait for the entries that they depend on.
 */

import type { Random } from './prng.ts';
import type { EventQueue } from './queue.ts';

export class Disk<Entry> {
  /** Survives a crash. */
  readonly durable: Entry[] = [];
  /** Called once: when the next sync has ended and before anything that waited for it, or in its place if it fails. */
  atNextSync: { readonly failing: boolean; readonly act: () => void } | undefined;
  /** Called after every sync. */
  onSynced: (() => void) | undefined;
  #unsynced: Entry[] = [];
  #waiting: { readonly upTo: number; readonly effect: () => void }[] = [];
  #appended = 0;
  #syncing = false;
  /** Counts crashes: a sync that was under way when the node died must not end afterwards. */
  #life = 0;
  /** By what was appended before and with it. */
  #frames: { readonly from: number; readonly to: number }[] = [];
  #isInFrame = false;
  readonly #queue: EventQueue;
  readonly #random: Random;
  readonly #syncDelayMs: (random: Random) => number;

  constructor(queue: EventQueue, random: Random, syncDelayMs: (random: Random) => number) {
    this.#queue = queue;
    this.#random = random;
    this.#syncDelayMs = syncDelayMs;
  }

  get isSynced(): boolean {
    return this.#unsynced.length === 0;
  }

  append(entry: Entry): void {
    this.#unsynced.push(entry);
    this.#appended++;
  }

  /** What is appended in `act` is whole or absent after a crash. */
  inOneFrame(act: () => void): void {
    const from = this.#appended;
    this.#isInFrame = true;
    act();
    this.#isInFrame = false;
    this.#frames = this.#frames.filter(({ to }) => to > this.#appended - this.#unsynced.length);
    this.#frames.push({ from, to: this.#appended });
    if (this.#waiting.length > 0) this.#sync();
  }

  /** Runs the effect once all that is appended so far is durable: now, if it is already. In the order of the calls. */
  whenDurable(effect: () => void): void {
    if (this.#unsynced.length === 0) {
      effect();
      return;
    }
    this.#waiting.push({ upTo: this.#appended, effect });
    this.#sync();
  }

  #sync(): void {
    if (this.#syncing || this.#isInFrame) return;
    this.#syncing = true;
    const life = this.#life;
    const covered = this.#unsynced.length;
    const upTo = this.#appended;
    this.#queue.after(this.#syncDelayMs(this.#random), () => {
      if (life !== this.#life) return;
      const { atNextSync } = this;
      this.atNextSync = undefined;
      if (atNextSync?.failing) atNextSync.act();
      if (life !== this.#life) return;
      for (const entry of this.#unsynced.splice(0, covered)) this.durable.push(entry);
      this.#syncing = false;
      this.onSynced?.();
      if (atNextSync?.failing === false) atNextSync.act();
      if (life !== this.#life) return;
      const ready = this.#waiting.filter((waiting) => waiting.upTo <= upTo);
      this.#waiting = this.#waiting.filter((waiting) => waiting.upTo > upTo);
      for (const { effect } of ready) {
        if (life !== this.#life) return;
        effect();
      }
      if (this.#waiting.length > 0) this.#sync();
    });
  }

  /** Effects that wait are gone; of the entries that were not synced, a prefix of any length may have reached the disk. */
  crash(): void {
    this.#life++;
    this.#syncing = false;
    this.#waiting = [];
    const kept = this.#random.chance(0.5) ? 0 : this.#random.integer(0, this.#unsynced.length);
    const synced = this.#appended - this.#unsynced.length;
    const torn = this.#frames.find(({ from, to }) => from < synced + kept && synced + kept < to);
    const whole = torn ? torn.from - synced : kept;
    for (const entry of this.#unsynced.slice(0, whole)) this.durable.push(entry);
    this.#unsynced = [];
    this.#frames = [];
  }
}
