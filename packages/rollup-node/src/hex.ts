/** Hex of bytes, made natively: what is formatted by the thousand, or large, takes a fraction of the time. */

import type { Hex } from '@squad/types';
import { keyOf } from './execution/keccak.ts';

export function hexOf(bytes: Uint8Array): Hex {
  return `0x${keyOf(bytes)}`;
}
