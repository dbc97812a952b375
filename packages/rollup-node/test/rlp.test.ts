import { type NestedUint8Array, RLP } from '@ethereumjs/rlp';
import { bigIntToUnpaddedBytes } from '@ethereumjs/util';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { encodeIndex, encodeList, integerBytes, type RlpItem } from '../src/execution/evm/rlp.ts';

it('encodes lists of bytes and of lists as the library does', () => {
  const item = fc.oneof(
    fc.uint8Array({ maxLength: 2 }),
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
    fc.uint8Array({ minLength: 50, maxLength: 60 }),
    fc.uint8Array({ minLength: 250, maxLength: 260 }),
  );
  fc.assert(
    fc.property(fc.array(item, { maxLength: 20 }), (items) => {
      expect(Buffer.compare(encodeList(items), RLP.encode(items))).toBe(0);
    }),
  );
  const { list } = fc.letrec((tie) => ({
    list: fc.array(fc.oneof({ withCrossShrink: true }, item, tie('list')), { maxLength: 6, depthIdentifier: 'list' }),
  }));
  fc.assert(
    fc.property(list, (items) => {
      expect(Buffer.compare(encodeList(items as RlpItem[]), RLP.encode(items as NestedUint8Array))).toBe(0);
    }),
  );
  for (const length of [0, 1, 55, 56, 65_530, 65_535, 65_536, 0x100_0000]) {
    const items = [new Uint8Array(length).fill(1)];
    expect(Buffer.compare(encodeList(items), RLP.encode(items))).toBe(0);
  }
});

it('encodes indexes as the library does', () => {
  for (const index of [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0xff_ffff, 0x100_0000, 0xffff_ffff]) {
    expect(Buffer.compare(encodeIndex(index), RLP.encode(index))).toBe(0);
  }
});

it('has integers without leading zeros', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 2n ** 256n - 1n }), (value) => {
      expect(Buffer.compare(integerBytes(value), bigIntToUnpaddedBytes(value))).toBe(0);
    }),
  );
  expect(integerBytes(0n)).toEqual(new Uint8Array());
});
