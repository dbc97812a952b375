/** Schemas of parameters that many methods share: hex bytes, hashes, quantities. */

import { type Hex, isHex } from '@squad/types';
import { z } from 'zod';

/**
 * 0x-prefixed hex of whole bytes to `Uint8Array`. One native pass, no pattern: Node's decoder stops at the first character
 * that is not hex, which the length shows.
 */
export function hexBytes(options: {
  readonly minBytes?: number;
  readonly maxBytes: number;
}): z.ZodType<Uint8Array, string> {
  const { minBytes = 0, maxBytes } = options;
  return z
    .string()
    .transform((text, context): Uint8Array => {
      const bytes = bytesOfHex(text);
      const fault = bytes === undefined ? 'expected 0x and pairs of hex digits' : sizeFault(bytes.length);
      if (fault === undefined) return bytes!;
      context.issues.push({ code: 'custom', input: text, message: fault });
      return z.NEVER;
    })
    .describe(`0x-prefixed hex of ${range(minBytes, maxBytes)} bytes`);

  function sizeFault(length: number): string | undefined {
    if (length >= minBytes && length <= maxBytes) return undefined;
    return `${length} bytes, expected ${range(minBytes, maxBytes)}`;
  }
}

function range(least: number, most: number): string {
  return least === most ? String(most) : `${least} to ${most}`;
}

/** Undefined if it is not 0x and pairs of hex digits. */
function bytesOfHex(text: string): Uint8Array | undefined {
  const bytes = bytesOfHexes([text]);
  return typeof bytes === 'number' ? undefined : bytes[0];
}

/**
 * Of many texts the bytes, as views of one piece of memory: allocating for each of them takes longer than decoding it.
 * The index of the first that is not 0x and pairs of hex digits, if there is one.
 */
export function bytesOfHexes(texts: readonly string[]): Uint8Array[] | number {
  let length = 0;
  for (const [i, text] of texts.entries()) {
    if (text.length % 2 !== 0 || text.charCodeAt(0) !== 48 || text.charCodeAt(1) !== 120) return i;
    length += text.length / 2 - 1;
  }
  // Memory of its own, not Node's shared pool: transactions live long.
  const memory = Buffer.from(new ArrayBuffer(length));
  const all: Uint8Array[] = [];
  let offset = 0;
  for (const [i, text] of texts.entries()) {
    const size = text.length / 2 - 1;
    if (memory.write(text.slice(2), offset, 'hex') !== size) return i;
    all.push(new Uint8Array(memory.buffer, offset, size));
    offset += size;
  }
  return all;
}

/** 0x and 64 hex digits; lower case comes out. */
export const Hash: z.ZodType<Hex, string> = z
  .string()
  .refine((text) => isHex(text, 32), { error: 'expected 0x and 64 hex digits' })
  .transform((text) => text.toLowerCase() as Hex)
  .describe('0x and 64 hex digits');

/** A number, or the same as 0x-hex ("quantity"), as an integer from 0 to 2^53-1. */
export const Quantity: z.ZodType<number, number | string> = z
  .union([z.number(), z.string()])
  .transform((value, context): number => {
    const number = typeof value === 'number' ? value : numberOfQuantity(value);
    if (number !== undefined && Number.isSafeInteger(number) && number >= 0) return number;
    context.issues.push({
      code: 'custom',
      input: value,
      message: 'expected an integer from 0 to 2^53-1, as a number or as 0x-hex',
    });
    return z.NEVER;
  })
  .describe('an integer, as a number or as 0x-hex');

function numberOfQuantity(text: string): number | undefined {
  return text.length <= 18 && /^0x(0|[1-9a-fA-F][0-9a-fA-F]*)$/.test(text) ? Number(text) : undefined;
}

/** A number as 0x-hex without leading zeros. */
export function toQuantity(value: number | bigint): Hex {
  return `0x${value.toString(16)}`;
}
