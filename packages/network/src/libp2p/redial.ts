/**
 * When to dial again: exponential back-off with jitter, so that nodes that start together do not dial in step. Its timer
 * keeps the process alive: a node that waits for its peers has work to do.
 */

export class Redial {
  readonly #firstMs: number;
  readonly #lastMs: number;
  #nextMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(firstMs: number, lastMs: number) {
    this.#firstMs = firstMs;
    this.#lastMs = lastMs;
    this.#nextMs = firstMs;
  }

  /** Calls back after the present delay (half of it is chance) and doubles it. Replaces a call that is scheduled. */
  schedule(callback: () => void): void {
    const delayMs = this.#nextMs * (0.5 + Math.random() / 2);
    this.#nextMs = Math.min(this.#lastMs, this.#nextMs * 2);
    this.at(delayMs, callback);
  }

  at(delayMs: number, callback: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(callback, delayMs);
  }

  /** The peer is there: the next failure starts with the shortest delay again. */
  reset(): void {
    this.#nextMs = this.#firstMs;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
