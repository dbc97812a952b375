/** Work that may be done in any order, and what follows it, which must happen in the order in which the work came. */

export interface Place {
  /** Resolves once all who came before have left. */
  readonly turn: Promise<void>;
  /** Must be called once; before the turn is fine. */
  leave(): void;
}

export class Queue {
  #allLeft: Promise<void> = Promise.resolve();

  /** A place at the end. */
  enter(): Place {
    const turn = this.#allLeft;
    const { promise: left, resolve: leave } = Promise.withResolvers<void>();
    this.#allLeft = turn.then(() => left);
    return { turn, leave };
  }
}
