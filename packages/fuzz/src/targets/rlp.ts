/** RLP as a tree of byte strings and lists, and encodings of it that are right or wrong in one place. */

import { concatBytes } from '@squad/types';
import type { Random } from '../random.ts';

export type RlpItem = Uint8Array | RlpItem[];

/** The canonical encoding. With `random`, one item in a few is encoded in a way that the canonical form forbids. */
export function encodeRlp(item: RlpItem, random?: Random): Uint8Array {
  const isList = !(item instanceof Uint8Array);
  const payload = isList ? concatBytes(...item.map((inner) => encodeRlp(inner, random))) : item;
  const wrong = random?.chance(0.15) === true;
  if (!isList && payload.length === 1 && payload[0]! < 0x80 && !wrong) return payload;
  const base = isList ? 0xc0 : 0x80;
  if (payload.length <= 55 && !wrong) return concatBytes(Uint8Array.of(base + payload.length), payload);
  const digits: number[] = [];
  let length = payload.length;
  if (wrong) length = Math.max(0, length + random!.pick([0, 0, 0, 1, -1, 2 ** 20]));
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  // Leading zeros in the length, or a long form where the short one would do.
  if (wrong && random!.chance(0.5)) digits.unshift(...new Array<number>(random!.integer(1, 4)).fill(0));
  if (digits.length === 0) digits.push(0);
  return concatBytes(Uint8Array.of(base + 55 + Math.min(8, digits.length), ...digits.slice(0, 8)), payload);
}

/** An unsigned integer as RLP has it: big-endian, no leading zeros. */
export function integerItem(random: Random, bytes: number): Uint8Array {
  const value = random.bytes(random.below(bytes + 1));
  if (value.length > 0 && value[0] === 0) value[0] = 1;
  return value;
}

/** A copy of the tree with one item changed, taken out, doubled or wrapped. */
export function mutateTree(item: RlpItem, random: Random): RlpItem {
  if (item instanceof Uint8Array) {
    switch (random.below(5)) {
      case 0:
        return new Uint8Array(0);
      case 1:
        return concatBytes(Uint8Array.of(0), item);
      case 2:
        return [item];
      case 3:
        return random.bytes(random.pick([1, 8, 9, 19, 20, 21, 31, 32, 33]));
      default:
        return concatBytes(item, random.bytes(1));
    }
  }
  if (item.length === 0 || random.chance(0.15))
    return random.chance(0.5) ? [...item, new Uint8Array(0)] : new Uint8Array(0);
  const at = random.below(item.length);
  const copy = [...item];
  const kind = random.below(8);
  if (kind === 0) copy.splice(at, 1);
  else if (kind === 1) copy.splice(at, 0, copy[at]!);
  else copy[at] = mutateTree(copy[at]!, random);
  return copy;
}
