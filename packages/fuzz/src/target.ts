/** What is fuzzed: a way in for outside bytes, how a valid input is made, and what must hold for any. */

import type { Random } from './random.ts';

export interface Target {
  readonly name: string;
  /** Who sends such bytes, and what reads them. */
  readonly what: string;
  /** A valid input: the target must accept it. */
  make(random: Random): Uint8Array;
  /** A changed copy that knows the form of its inputs: offsets, lengths, checksums, keys. */
  mutate?(input: Uint8Array, random: Random): Uint8Array;
  /**
   * Reads an input: true if it was accepted, false if refused the way its caller expects. Throws for everything that must
   * not happen: the decoder's own exceptions pass through, and `Violation` says what else was wrong.
   */
  check(input: Uint8Array): boolean | Promise<boolean>;
  /** Inputs of a long run, where a million would take too long; `README.md` has the reason. */
  readonly longRunInputs?: number;
  /** An input may cost so much and so many times its own length; default `DEFAULT_BUDGET`. */
  readonly budget?: Budget;
}

export interface Budget {
  readonly bytes: number;
  readonly bytesPerInputByte: number;
  readonly milliseconds: number;
}

export const DEFAULT_BUDGET: Budget = { bytes: 1 << 20, bytesPerInputByte: 256, milliseconds: 250 };

/** Something that must not happen, happened. */
export class Violation extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Violation';
  }
}

export function demand(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Violation(message);
}

/** Whatever was accepted must be the one encoding of what it means. */
export function demandSameBytes(input: Uint8Array, encoded: Uint8Array, what: string): void {
  if (Buffer.compare(input, encoded) === 0) return;
  throw new Violation(`${what}: ${input.length} bytes were accepted, and encode to ${encoded.length} others`);
}
