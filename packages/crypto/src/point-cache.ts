/**
 * Decoded public keys by their bytes. Decompressing and subgroup-checking a key costs about as much as a tenth of a
 * verification, and the same 4 to 256 keys come back with every certificate. Only valid keys are kept.
 */

import { LruCache } from './lru-cache.ts';

/** Public keys that one implementation keeps decoded: four full validator sets. */
export const MAX_CACHED_PUBLIC_KEYS = 1024;

export class PublicKeyCache<Point> {
  readonly #cache = new LruCache<string, Point>(MAX_CACHED_PUBLIC_KEYS);
  readonly #decode: (bytes: Uint8Array) => Point;

  /** `decode` throws if the bytes are no valid key: not on the curve, not in the subgroup, or infinity. */
  constructor(decode: (bytes: Uint8Array) => Point) {
    this.#decode = decode;
  }

  /** The key as a point; `undefined` if it is none. */
  get(bytes: Uint8Array): Point | undefined {
    // Keyed by content, not by array: a caller may reuse or change the array.
    const key = String.fromCharCode(...bytes);
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    try {
      const point = this.#decode(bytes);
      this.#cache.set(key, point);
      return point;
    } catch {
      return undefined;
    }
  }

  /** All of them; `undefined` if there are none or one is invalid. */
  getAll(keys: readonly Uint8Array[]): Point[] | undefined {
    if (keys.length === 0) return undefined;
    const points: Point[] = [];
    for (const bytes of keys) {
      const point = this.get(bytes);
      if (point === undefined) return undefined;
      points.push(point);
    }
    return points;
  }
}
