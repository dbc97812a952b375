/** Hex of bytes, made natively: what is written for every transaction, or is large, takes a fraction of the time. */

import type { Hex } from '@squad/types';

const HASH_BYTES = 32;
const DIGITS: readonly number[] = [...'0123456789abcdef'].map((digit) => digit.charCodeAt(0));
const HIGH_DIGITS = Uint8Array.from({ length: 256 }, (_, byte) => DIGITS[byte >> 4]!);
const LOW_DIGITS = Uint8Array.from({ length: 256 }, (_, byte) => DIGITS[byte & 15]!);
const hashText = Buffer.from(`0x${'0'.repeat(2 * HASH_BYTES)}`, 'latin1');

export function hexOf(bytes: Uint8Array): Hex {
  if (bytes.length === HASH_BYTES) return hexOfHash(bytes);
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`;
}

/**
 * One piece of text, where 0x and the rest would be joined when a map first hashes it; and a small array keeps its bytes in
 * the heap, out of which asking for its `buffer` would move them.
 */
function hexOfHash(hash: Uint8Array): Hex {
  for (let i = 0; i < HASH_BYTES; i++) {
    const byte = hash[i]!;
    hashText[2 * i + 2] = HIGH_DIGITS[byte]!;
    hashText[2 * i + 3] = LOW_DIGITS[byte]!;
  }
  return hashText.toString('latin1') as Hex;
}
