/**
 * Decoded public keys by their bytes. Decompressing and subgroup-checking a key costs about as much as a tenth of a
 * verification, and the same 4 to 256 keys come back with every certificate. Only valid keys are kept.
 */

import { equalBytes } from '@squad/types';
import { LruCache } from './lru-cache.ts';

/** Public keys that one implementation keeps decoded: four full validator sets. */
export const MAX_CACHED_PUBLIC_KEYS = 1024;

export class PublicKeyCache<Point> {
  readonly #cache = new LruCache<string, { readonly bytes: Uint8Array; readonly point: Point }>(MAX_CACHED_PUBLIC_KEYS);
  readonly #decode: (bytes: Uint8Array) => Point;

  /** `decode` throws if the bytes are no valid key: not on the curve, not in the subgroup, or infinity. */
  constructor(decode: (bytes: Uint8Array) => Point) {
    this.#decode = decode;
  }

  /** The key as a point; `undefined` if it is none. */
  get(bytes: Uint8Array): Point | undefined {
    const label = labelOf(bytes);
    const known = this.#cache.get(label);
    if (known !== undefined && equalBytes(known.bytes, bytes)) return known.point;
    try {
      const point = this.#decode(bytes);
      // A copy, as the caller may change the array.
      this.#cache.set(label, { bytes: bytes.slice(), point });
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

/** The last 16 bytes: enough to tell honest keys apart at a tenth of the cost of all 48, and the whole key is compared. */
function labelOf(bytes: Uint8Array): string {
  const end = bytes.length;
  const unit = (back: number) => (bytes[end - back]! << 8) | bytes[end - back - 1]!;
  return String.fromCharCode(unit(1), unit(3), unit(5), unit(7), unit(9), unit(11), unit(13), unit(15));
}
