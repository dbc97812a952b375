/**
 * RLP for what is encoded for every transaction and every trie node: flat lists of bytes, written in one pass into memory of
 * the right size. The library's encoder, which takes anything nested, needs several times as long.
 */

const EMPTY = new Uint8Array();
/** Payloads up to here are told by one byte (yellow paper, appendix B). */
const MAX_SHORT = 55;

/** A list of byte strings. */
export function encodeFlatList(items: readonly Uint8Array[]): Uint8Array {
  let payload = 0;
  for (const item of items) payload += encodedLength(item);
  const lengthBytes = payload <= MAX_SHORT ? 0 : bytesIn(payload);
  const out = new Uint8Array(1 + lengthBytes + payload);
  let at = writePrefix(out, 0, 0xc0, payload, lengthBytes);
  for (const item of items) {
    const { length } = item;
    if (length === 1 && item[0]! < 0x80) {
      out[at++] = item[0]!;
    } else {
      at = writePrefix(out, at, 0x80, length, length <= MAX_SHORT ? 0 : bytesIn(length));
      out.set(item, at);
      at += length;
    }
  }
  return out;
}

/** Big-endian without leading zeros; zero is no bytes. */
export function integerBytes(value: bigint): Uint8Array {
  if (value === 0n) return EMPTY;
  const digits = value.toString(16);
  return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
}

function encodedLength(item: Uint8Array): number {
  const { length } = item;
  if (length === 1 && item[0]! < 0x80) return 1;
  return 1 + length + (length <= MAX_SHORT ? 0 : bytesIn(length));
}

function bytesIn(length: number): number {
  return length < 0x100 ? 1 : length < 0x1_0000 ? 2 : length < 0x100_0000 ? 3 : 4;
}

/** Returns where the payload begins. */
function writePrefix(out: Uint8Array, at: number, kind: 0x80 | 0xc0, length: number, lengthBytes: number): number {
  if (lengthBytes === 0) {
    out[at] = kind + length;
    return at + 1;
  }
  out[at] = kind + MAX_SHORT + lengthBytes;
  for (let i = lengthBytes, rest = length; i > 0; i--, rest = Math.floor(rest / 256)) out[at + i] = rest & 255;
  return at + 1 + lengthBytes;
}
