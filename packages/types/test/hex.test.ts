/** Hex of bytes and back: each byte, digits in either case, and what is no hex. */

import { expect, it } from 'vitest';
import { fromHex, toHex } from '../src/index.ts';

const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);

it('reads back what it wrote, of any length, and digits in either case', () => {
  for (const bytes of [new Uint8Array(), all, all.subarray(7, 39), all.subarray(0xa0, 0xc0)]) {
    const hex = toHex(bytes);
    expect(fromHex(hex)).toEqual(new Uint8Array(bytes));
    expect(fromHex(`0x${hex.slice(2).toUpperCase()}`)).toEqual(new Uint8Array(bytes));
  }
  expect(toHex(Uint8Array.of(0, 9, 10, 0xff))).toBe('0x00090aff');
});

it.each(['', '0x0', '00', '0xg0', '0x0:', '0x0@', '0x 1', '0X00'])('refuses %j, and shows it', (text) => {
  expect(() => fromHex(text)).toThrow(RangeError);
  expect(() => fromHex(text)).toThrow(JSON.stringify(text));
});
