/** Mutations that know nothing of what the bytes mean. */

import type { Random } from './random.ts';

/** Longer inputs than this are not made: limits of size have tests of their own. */
export const LONGEST_INPUT_BYTES: number = 1 << 16;

/** One to four changes of a copy. `other`: what parts may be taken from. */
export function mutateBytes(input: Uint8Array, random: Random, other: Uint8Array): Uint8Array {
  let bytes = input;
  for (let left = random.integer(1, 4); left > 0; left--) bytes = mutateOnce(bytes, random, other);
  return bytes.length > LONGEST_INPUT_BYTES ? bytes.slice(0, LONGEST_INPUT_BYTES) : bytes;
}

function mutateOnce(bytes: Uint8Array, random: Random, other: Uint8Array): Uint8Array {
  const at = random.below(bytes.length + 1);
  const length = Math.min(random.chance(0.7) ? random.integer(1, 8) : random.integer(1, 256), bytes.length - at);
  switch (random.below(9)) {
    case 0:
      return changed(bytes, at, (byte) => byte ^ (1 << random.below(8)));
    case 1:
      return changed(bytes, at, () => random.pick(NOTABLE_BYTES));
    case 2:
      return changed(bytes, at, (byte) => byte + random.integer(-4, 4));
    case 3:
      return word(bytes, at, random);
    case 4:
      return splice(bytes, at, at + length, new Uint8Array(0));
    case 5:
      return splice(bytes, at, at, random.bytes(random.integer(1, 16)));
    case 6:
      return splice(bytes, random.below(bytes.length + 1), at, bytes.subarray(at, at + length));
    case 7:
      return bytes.slice(0, at);
    default: {
      const from = random.below(other.length + 1);
      return splice(bytes, at, at + length, other.subarray(from, from + random.integer(1, 64)));
    }
  }
}

const NOTABLE_BYTES: readonly number[] = [0, 1, 0x0a, 0x20, 0x22, 0x7b, 0x7f, 0x80, 0xb8, 0xc0, 0xc1, 0xf8, 0xfe, 0xff];

function changed(bytes: Uint8Array, at: number, change: (byte: number) => number): Uint8Array {
  const copy = bytes.slice();
  if (at < copy.length) copy[at] = change(copy[at]!);
  return copy;
}

/** A number of 2, 4 or 8 bytes of either order, set to something notable or moved a little. */
function word(bytes: Uint8Array, at: number, random: Random): Uint8Array {
  const copy = bytes.slice();
  const size = random.pick([2, 4, 8]);
  const view = new DataView(copy.buffer);
  if (at + size > copy.length) return copy;
  const little = random.chance(0.7);
  const value = random.chance(0.5)
    ? BigInt(random.number())
    : (size === 8 ? view.getBigUint64(at, little) : BigInt(view.getUint16(at, little))) + BigInt(random.integer(-8, 8));
  if (size === 2) view.setUint16(at, Number(value & 0xffffn), little);
  else if (size === 4) view.setUint32(at, Number(value & 0xffff_ffffn), little);
  else view.setBigUint64(at, value & 0xffff_ffff_ffff_ffffn, little);
  return copy;
}

/** `bytes` with what stands from `from` to `to` replaced. */
export function splice(bytes: Uint8Array, from: number, to: number, replacement: Uint8Array): Uint8Array {
  const [start, end] = from <= to ? [from, to] : [to, from];
  const out = new Uint8Array(bytes.length - (end - start) + replacement.length);
  out.set(bytes.subarray(0, start));
  out.set(replacement, start);
  out.set(bytes.subarray(end), start + replacement.length);
  return out;
}
