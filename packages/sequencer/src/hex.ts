/** Hex of bytes, made natively: what is written for every transaction, or is large, takes a fraction of the time. */

import type { Hex } from '@squad/types';

export function hexOf(bytes: Uint8Array): Hex {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`;
}
