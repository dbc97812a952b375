/** The inputs of a target: each follows from the seed, the target's name and its number alone. */

import { mutateBytes } from './bytes.ts';
import { Random } from './random.ts';
import type { Target } from './target.ts';

/** Valid inputs are made anew after so many inputs; the first ones of each block are the valid ones themselves. */
const BLOCK_INPUTS = 4096;
const VALID_PER_BLOCK = 48;

export interface FuzzInput {
  readonly bytes: Uint8Array;
  /** It is valid, and has to be accepted. */
  readonly valid: boolean;
}

export class Inputs {
  readonly #target: Target;
  readonly #name: string;
  #block = -1;
  #valid: readonly Uint8Array[] = [];

  constructor(target: Target, seed: string) {
    this.#target = target;
    this.#name = `${seed}/${target.name}`;
  }

  at(index: number): FuzzInput {
    const block = Math.floor(index / BLOCK_INPUTS);
    if (block !== this.#block) {
      const random = new Random(`${this.#name}/valid`, block);
      this.#valid = Array.from({ length: VALID_PER_BLOCK }, () => this.#target.make(random));
      this.#block = block;
    }
    const place = index % BLOCK_INPUTS;
    if (place < VALID_PER_BLOCK) return { bytes: this.#valid[place]!, valid: true };
    return { bytes: this.#mutated(new Random(this.#name, index)), valid: false };
  }

  #mutated(random: Random): Uint8Array {
    if (random.chance(0.01)) return random.bytes(random.below(random.chance(0.8) ? 64 : 2048));
    const { mutate } = this.#target;
    let bytes = random.pick(this.#valid);
    const aware = mutate !== undefined && random.chance(0.6);
    if (aware) bytes = mutate(bytes, random);
    if (!aware || random.chance(0.25)) bytes = mutateBytes(bytes, random, random.pick(this.#valid));
    return bytes;
  }
}
