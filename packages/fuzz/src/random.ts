/** Random numbers from a seed and a name: sfc32, seeded by FNV-1a of the name. The same everywhere, and cheap to begin. */

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(name: string, index = 0) {
    let hash = 0x811c9dc5;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    this.#a = hash;
    this.#b = index | 0;
    this.#c = (index / 0x1_0000_0000) | 0;
    for (let i = 0; i < 12; i++) this.uint32();
  }

  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** From 0 to `bound - 1`. */
  below(bound: number): number {
    return Math.floor((this.uint32() / 0x1_0000_0000) * bound);
  }

  /** Both ends included. */
  integer(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  chance(probability: number): boolean {
    return this.uint32() < probability * 0x1_0000_0000;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      const word = this.uint32();
      for (let k = 0; k < 4 && i + k < length; k++) bytes[i + k] = word >>> (8 * k);
    }
    return bytes;
  }

  /** Small numbers often, bounds of machine words now and then. At most 2^53-1. */
  number(): number {
    switch (this.below(8)) {
      case 0:
        return 0;
      case 1:
        return this.below(256);
      case 2:
        return this.pick(EDGES);
      case 3:
        return this.uint32();
      case 4:
        return this.uint32() * 0x20_0000 + this.below(0x20_0000);
      default:
        return this.below(64);
    }
  }
}

const EDGES: readonly number[] = [
  0x7f,
  0x80,
  0xff,
  0x100,
  0x7fff,
  0xffff,
  0x1_0000,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_ffff,
  0x1_0000_0000,
  Number.MAX_SAFE_INTEGER,
];
