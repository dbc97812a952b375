/** Waiting for a change, or for time to pass. */

export class Wake {
  #rung = false;
  #resolve: (() => void) | undefined;

  /** Something changed. */
  ring(): void {
    this.#rung = true;
    this.#resolve?.();
  }

  /** What changed until now has been seen. */
  clear(): void {
    this.#rung = false;
  }

  /** Until `ring` was called since `clear`, or so many milliseconds have passed. */
  async wait(ms: number): Promise<void> {
    if (this.#rung) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#resolve = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
    this.#resolve = undefined;
  }
}
