/** SSZ by the type alone: random values, and mutations of the offsets in an encoding. */

import {
  BitArray,
  BitListType,
  BooleanType,
  ByteListType,
  ByteVectorType,
  type CompositeType,
  ContainerType,
  ListCompositeType,
  type Type,
  UintNumberType,
} from '@chainsafe/ssz';
import type { Random } from './random.ts';

type AnyType = Type<unknown>;

/** A value of a type; short lists, short byte lists. */
export function randomValue(type: AnyType, random: Random): unknown {
  if (type instanceof UintNumberType) {
    const bound = type.byteLength >= 7 ? Number.MAX_SAFE_INTEGER : 2 ** (8 * type.byteLength) - 1;
    return Math.min(random.number(), bound);
  }
  if (type instanceof BooleanType) return random.chance(0.5);
  if (type instanceof ByteVectorType) return random.bytes(type.lengthBytes);
  if (type instanceof ByteListType) return random.bytes(random.below(Math.min(type.limitBytes, 80) + 1));
  if (type instanceof BitListType) {
    const length = random.below(Math.min(type.limitBits, 40) + 1);
    return BitArray.fromBoolArray(Array.from({ length }, () => random.chance(0.5)));
  }
  if (type instanceof ListCompositeType) {
    const longest = Math.min(type.limit, random.chance(0.9) ? 3 : 12);
    const element = type.elementType as AnyType;
    return Array.from({ length: random.below(longest + 1) }, () => randomValue(element, random));
  }
  if (type instanceof ContainerType) {
    const fields = Object.entries(type.fields as Record<string, AnyType>);
    return Object.fromEntries(fields.map(([name, field]) => [name, randomValue(field, random)]));
  }
  throw new Error(`no random value for ${type.typeName}`);
}

/** A copy with one offset moved or set to another number; unchanged bytes if there is none. */
export function mutateOffsets(type: AnyType, input: Uint8Array, random: Random): Uint8Array {
  const places: number[] = [];
  findOffsets(type, input, 0, input.length, places);
  const copy = input.slice();
  if (places.length === 0) return copy;
  const view = new DataView(copy.buffer);
  for (let left = random.integer(1, 2); left > 0; left--) {
    const at = random.pick(places);
    const value = random.chance(0.7) ? view.getUint32(at, true) + random.integer(-8, 8) : random.number();
    view.setUint32(at, value >>> 0, true);
  }
  return copy;
}

/** Positions of the offsets in an encoding, as far as it makes sense. */
function findOffsets(type: AnyType, bytes: Uint8Array, start: number, end: number, places: number[]): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offsetAt = (at: number): number => (at + 4 <= end ? view.getUint32(at, true) : 0);
  const enter = (inner: AnyType, from: number, to: number) => {
    if (from < to && to <= end && places.length < 256) findOffsets(inner, bytes, from, to, places);
  };
  if (type instanceof ContainerType) {
    let at = start;
    const variable: { readonly type: AnyType; readonly from: number }[] = [];
    for (const field of Object.values(type.fields as Record<string, AnyType>)) {
      if (field.fixedSize !== null) {
        at += field.fixedSize;
        continue;
      }
      if (at + 4 > end) return;
      places.push(at);
      variable.push({ type: field, from: start + offsetAt(at) });
      at += 4;
    }
    variable.forEach((field, i) => {
      enter(field.type, field.from, variable[i + 1]?.from ?? end);
    });
  } else if (type instanceof ListCompositeType) {
    const element: CompositeType<unknown, unknown, unknown> = type.elementType;
    if (element.fixedSize !== null) return;
    const count = Math.min(offsetAt(start) / 4, 64);
    for (let i = 0; i < count && start + 4 * i + 4 <= end; i++) {
      places.push(start + 4 * i);
      const to = i + 1 < count ? start + offsetAt(start + 4 * i + 4) : end;
      enter(element, start + offsetAt(start + 4 * i), to);
    }
  }
}
