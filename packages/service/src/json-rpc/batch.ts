/**
 * The calls of one JSON-RPC batch: a bounded number of them at once, their answers joined within a budget. A batch costs its
 * sender a line of text per call, so it stops as soon as its answers do not fit, and it never has the process to itself.
 */

import { MAX_RPC_BATCH_CALLS_IN_FLIGHT, MAX_RPC_BATCH_TURN_MS } from '../limits.ts';
import type { RpcError } from './error.ts';

/** A refusal: the answers together do not fit; calls that had not begun by then were not made. */
export type BatchOutcome = { readonly refusal: RpcError } | { readonly text: string | undefined };

type Answer = string | undefined;

export interface BatchOptions {
  readonly count: number;
  /** Makes one call; undefined if it is not to be answered. Never throws or rejects. */
  readonly call: (index: number) => Answer | Promise<Answer>;
  /** Told the characters of each answer; an error if it does not fit any more. */
  readonly keep: (characters: number) => RpcError | undefined;
}

/** Resolves, or returns at once if no call had to wait, with the answers in the order of the calls. */
export function runBatch(options: BatchOptions): BatchOutcome | Promise<BatchOutcome> {
  return new Batch(options).run();
}

class Batch {
  readonly #options: BatchOptions;
  readonly #answers: Answer[] = [];
  #refusal: RpcError | undefined;
  #next = 0;
  #inFlight = 0;
  #isPaused = false;
  #done: ((outcome: BatchOutcome) => void) | undefined;

  constructor(options: BatchOptions) {
    this.#options = options;
  }

  run(): BatchOutcome | Promise<BatchOutcome> {
    this.#advance();
    if (this.#isOver) return this.#outcome();
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  get #isOver(): boolean {
    return (
      this.#inFlight === 0 && !this.#isPaused && (this.#refusal !== undefined || this.#next === this.#options.count)
    );
  }

  #advance(): void {
    const startedMs = performance.now();
    while (!this.#isPaused && this.#refusal === undefined && this.#next < this.#options.count) {
      if (this.#inFlight >= MAX_RPC_BATCH_CALLS_IN_FLIGHT) return;
      const index = this.#next++;
      const answer = this.#options.call(index);
      if (answer instanceof Promise) {
        this.#inFlight++;
        void answer.then((text) => {
          this.#inFlight--;
          this.#take(index, text);
          this.#advance();
          if (this.#isOver) this.#done?.(this.#outcome());
        });
      } else {
        this.#take(index, answer);
      }
      if (performance.now() - startedMs > MAX_RPC_BATCH_TURN_MS) this.#pause();
    }
  }

  /** Others get their turn of the event loop. */
  #pause(): void {
    this.#isPaused = true;
    setImmediate(() => {
      this.#isPaused = false;
      this.#advance();
      if (this.#isOver) this.#done?.(this.#outcome());
    });
  }

  #take(index: number, text: Answer): void {
    if (text === undefined || this.#refusal !== undefined) return;
    // A bracket or comma before each.
    this.#refusal = this.#options.keep(text.length + 1);
    if (this.#refusal === undefined) this.#answers[index] = text;
    else this.#answers.length = 0;
  }

  #outcome(): BatchOutcome {
    if (this.#refusal !== undefined) return { refusal: this.#refusal };
    const answers = this.#answers.filter((text) => text !== undefined);
    return { text: answers.length === 0 ? undefined : `[${answers.join(',')}]` };
  }
}
