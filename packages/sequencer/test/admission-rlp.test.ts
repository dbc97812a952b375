/** The RLP reader against the reference library: what either writes the other reads, and both refuse the same. */

import { RLP } from '@ethereumjs/rlp';
import { concatBytes } from '@squad/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bigEndian, encodeInteger, listPrefix, RlpCursor, RlpError } from '../src/admission/rlp.ts';

type Item = Uint8Array | Item[];

const { item } = fc.letrec<{ item: Item }>((tie) => ({
  item: fc.oneof({ maxDepth: 4 }, fc.uint8Array({ maxLength: 70 }), fc.array(tie('item'), { maxLength: 5 })),
}));

/** Reads whatever stands at the cursor, by trying both kinds. */
function read(cursor: RlpCursor): Item {
  const at = cursor.position;
  try {
    return cursor.string('item', 0, Number.MAX_SAFE_INTEGER).slice();
  } catch (error) {
    if (!(error instanceof RlpError) || cursor.position !== at) throw error;
    const list = cursor.list('item');
    const items: Item[] = [];
    while (!list.done) items.push(read(list));
    return items;
  }
}

function readWhole(bytes: Uint8Array): Item {
  const cursor = new RlpCursor(bytes);
  const value = read(cursor);
  cursor.finish('it');
  return value;
}

describe('the RLP reader', () => {
  it('reads what the reference writes', () => {
    fc.assert(
      fc.property(item, (value) => {
        expect(readWhole(RLP.encode(value))).toEqual(value);
      }),
    );
  });

  it('reads only canonical encodings: what it reads is encoded to the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), (bytes) => {
        let value: Item;
        try {
          value = readWhole(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(RlpError);
          return;
        }
        expect(RLP.encode(value)).toEqual(bytes);
      }),
      { numRuns: 2_000 },
    );
  });

  it('reads long strings and lists at the borders of their prefixes', () => {
    for (const length of [0, 1, 55, 56, 57, 255, 256, 257, 65_535, 65_536, 131_072]) {
      const text = new Uint8Array(length).fill(200);
      expect(readWhole(RLP.encode(text))).toEqual(text);
      expect(readWhole(RLP.encode([text, [text]]))).toEqual([text, [text]]);
    }
  });

  it('refuses the long form of a length that fits the short one', () => {
    const fill = new Uint8Array(56).fill(200);
    for (const [prefix, length, readable] of [
      [0xb8, 55, false],
      [0xb8, 56, true],
    ] as const) {
      const bytes = concatBytes(Uint8Array.of(prefix, length), fill.subarray(0, length));
      if (readable) expect(readWhole(bytes)).toEqual(fill);
      else expect(() => readWhole(bytes)).toThrow('not the shortest');
    }
    const list = (length: number) => concatBytes(Uint8Array.of(0xf8, length), new Uint8Array(length).fill(1));
    expect(() => readWhole(list(55))).toThrow(RlpError);
    expect(readWhole(list(56))).toHaveLength(56);
  });

  it('writes list prefixes and integers as the reference does', () => {
    for (const value of [0, 1, 127, 128, 255, 256, 901, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      expect(encodeInteger(value)).toEqual(RLP.encode(value === 0 ? new Uint8Array(0) : BigInt(value)));
      const cursor = new RlpCursor(encodeInteger(value));
      expect(cursor.safeInteger('value')).toBe(value);
    }
    for (const length of [0, 55, 56, 255, 256, 65_536]) {
      const items = Array.from({ length }, () => Uint8Array.of(1));
      expect(concatBytes(listPrefix(length), new Uint8Array(length).fill(1))).toEqual(RLP.encode(items));
    }
  });

  it('reads integers of any length', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }), (value) => {
        const hex = value.toString(16);
        const bytes =
          value === 0n ? new Uint8Array(0) : Uint8Array.from(Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex'));
        expect(bigEndian(bytes)).toBe(value);
      }),
    );
  });
});
