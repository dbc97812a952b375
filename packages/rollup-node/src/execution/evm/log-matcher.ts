/** Whether logs are those that a filter wants; made once for a search, as a filter may name thousands of alternatives. */

import { Bloom } from '@ethereumjs/vm';
import { keyOf } from '../keccak.ts';
import type { EvmLog } from './block.ts';

/** Empty `addresses`, or an empty list at a topic's position, matches anything. */
export interface LogFilter {
  readonly addresses: readonly Uint8Array[];
  readonly topics: readonly (readonly Uint8Array[])[];
}

/** A byte of a bloom, and the bits of it that must be set. */
type Bits = readonly (readonly [index: number, mask: number])[];

export class LogMatcher {
  readonly #addresses: ReadonlySet<string>;
  readonly #topics: readonly ReadonlySet<string>[];
  /** Of each place that the filter restricts, the bits of each alternative: hashing them again for each block takes seconds. */
  readonly #blooms: readonly (readonly Bits[])[];

  constructor({ addresses, topics }: LogFilter) {
    this.#addresses = new Set(addresses.map(keyOf));
    this.#topics = topics.map((choices) => new Set(choices.map(keyOf)));
    this.#blooms = [addresses, ...topics].filter(({ length }) => length > 0).map((choices) => choices.map(bitsOf));
  }

  /** By the bloom of a block's header; false: none of the block's logs match. */
  mayMatch(bloom: Uint8Array): boolean {
    return this.#blooms.every((choices) =>
      choices.some((bits) => bits.every(([index, mask]) => (bloom[index]! & mask) === mask)),
    );
  }

  /** Every position of the filter must match; a log with fewer topics than the filter has positions does not. */
  matches({ address, topics }: EvmLog): boolean {
    if (!oneOf(this.#addresses, address) || this.#topics.length > topics.length) return false;
    return this.#topics.every((choices, position) => oneOf(choices, topics[position]!));
  }
}

function oneOf(choices: ReadonlySet<string>, value: Uint8Array): boolean {
  return choices.size === 0 || choices.has(keyOf(value));
}

function bitsOf(choice: Uint8Array): Bits {
  const bloom = new Bloom();
  bloom.add(choice);
  return [...bloom.bitvector.entries()].filter(([, mask]) => mask !== 0);
}
