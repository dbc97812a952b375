/** Values that stand in a rollup file in more than one place. */

import { isHex } from '@squad/types';
import { z } from 'zod';

const MAX_UINT256 = (1n << 256n) - 1n;

/** An amount in wei: a decimal string, or 0x-hex. */
export const wei = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,77}|0x[0-9a-fA-F]{1,64})$/, { error: 'expected wei as a decimal or 0x string' })
  .refine((value) => !/^(0|[1-9][0-9]{0,77}|0x[0-9a-fA-F]{1,64})$/.test(value) || BigInt(value) <= MAX_UINT256, {
    error: 'above 2^256-1',
  });
export const address = z.string().refine((value) => isHex(value, 20), { error: 'expected 0x and 40 hex digits' });
export const word = z.string().refine((value) => isHex(value, 32), { error: 'expected 0x and 64 hex digits' });
