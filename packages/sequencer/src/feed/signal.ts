/** "Something happened": remembered until somebody waits for it, so that none is missed between looking and waiting. */

export class Signal {
  #raised = false;
  readonly #waiting = new Set<() => void>();

  raise(): void {
    this.#raised = true;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  /** Resolves once raised since the last wait, or after so many milliseconds, whichever is first. For one waiter at a time. */
  async wait(timeoutMs?: number): Promise<void> {
    if (!this.#raised) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
        if (timeoutMs !== undefined) timer = setTimeout(resolve, timeoutMs);
      });
      clearTimeout(timer);
      this.#waiting.clear();
    }
    this.#raised = false;
  }
}
