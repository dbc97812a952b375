/** Parameters that name a block, a height or a rollup, in each of the forms that callers use. */

import { Hash, Quantity } from '@squad/service';
import type { BlockHash, Height } from '@squad/types';
import { z } from 'zod';
import type { SequencerApi } from './api.ts';

export type HeightTag = 'final' | 'soft';

const Text = z.union([z.number(), z.string()]);

export const HeightParam: z.ZodType<Height | HeightTag, number | string> = Text.transform((value, context) => {
  const height = readHeight(value);
  if (height !== undefined) return height;
  context.issues.push({
    code: 'custom',
    input: value,
    message: 'expected a height (number or 0x-hex), "final" or "soft"',
  });
  return z.NEVER;
}).describe('a height as a number or 0x-hex, or the head: "final" or "soft"');

/** Undefined: the epoch of now. */
export const EpochParam: z.ZodType<number | undefined, number | string | undefined> = Quantity.optional().describe(
  'an epoch; that of now if left out',
);

export function heightOf(node: Pick<SequencerApi, 'status'>, height: Height | HeightTag): Height {
  return typeof height === 'number' ? height : node.status()[height].height;
}

export type BlockParam = { readonly at: Height | HeightTag } | { readonly hash: BlockHash };

export const BlockParam: z.ZodType<BlockParam, number | string> = Text.transform((value, context): BlockParam => {
  if (typeof value === 'string' && value.length === 66) {
    const hash = Hash.safeParse(value);
    if (hash.success) return { hash: hash.data };
  }
  const at = readHeight(value);
  if (at !== undefined) return { at };
  context.issues.push({
    code: 'custom',
    input: value,
    message: 'expected a height (number or 0x-hex), "final", "soft", or a block hash (0x and 64 hex digits)',
  });
  return z.NEVER;
}).describe('a height as a number or 0x-hex, "final", "soft", or a block hash');

function readHeight(value: number | string): Height | HeightTag | undefined {
  if (value === 'final' || value === 'soft') return value;
  const height = Quantity.safeParse(value);
  return height.success ? height.data : undefined;
}
