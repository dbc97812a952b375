/**
 * RLP for what is encoded for every transaction and every trie node, written in one pass into memory of the right size. The
 * library's encoder, which joins what it has encoded of each item, needs several times as long.
 */

/** Byte strings, and lists of such. */
export type RlpItem = Uint8Array | readonly RlpItem[];

const EMPTY = new Uint8Array();
/** Payloads up to here are told by one byte (yellow paper, appendix B). */
const MAX_SHORT = 55;

/** A list of byte strings and lists. */
export function encodeList(items: readonly RlpItem[]): Uint8Array {
  const payload = payloadLength(items);
  const out = new Uint8Array(prefixLength(payload) + payload);
  writeList(out, 0, items, payload);
  return out;
}

/** A whole number below 2^32, as RLP: the keys of lists in tries. */
export function encodeIndex(index: number): Uint8Array {
  if (index === 0) return Uint8Array.of(0x80);
  if (index < 0x80) return Uint8Array.of(index);
  const length = bytesIn(index);
  const out = new Uint8Array(1 + length);
  out[0] = 0x80 + length;
  for (let i = length, rest = index; i > 0; i--, rest = Math.floor(rest / 256)) out[i] = rest & 255;
  return out;
}

/** Big-endian without leading zeros; zero is no bytes. */
export function integerBytes(value: bigint): Uint8Array {
  if (value === 0n) return EMPTY;
  const digits = value.toString(16);
  return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
}

function payloadLength(items: readonly RlpItem[]): number {
  let payload = 0;
  for (const item of items) payload += encodedLength(item);
  return payload;
}

function encodedLength(item: RlpItem): number {
  if (item instanceof Uint8Array && isItself(item)) return 1;
  const length = item instanceof Uint8Array ? item.length : payloadLength(item);
  return prefixLength(length) + length;
}

/** A byte below 0x80. */
function isItself(bytes: Uint8Array): boolean {
  return bytes.length === 1 && bytes[0]! < 0x80;
}

function prefixLength(payload: number): number {
  return payload <= MAX_SHORT ? 1 : 1 + bytesIn(payload);
}

function bytesIn(length: number): number {
  return length < 0x100 ? 1 : length < 0x1_0000 ? 2 : length < 0x100_0000 ? 3 : 4;
}

/** Returns where the list ends. */
function writeList(out: Uint8Array, start: number, items: readonly RlpItem[], payload: number): number {
  let at = writePrefix(out, start, 0xc0, payload);
  for (const item of items) {
    if (!(item instanceof Uint8Array)) {
      at = writeList(out, at, item, payloadLength(item));
    } else if (isItself(item)) {
      out[at++] = item[0]!;
    } else {
      at = writePrefix(out, at, 0x80, item.length);
      out.set(item, at);
      at += item.length;
    }
  }
  return at;
}

/** Returns where the payload begins. */
function writePrefix(out: Uint8Array, at: number, kind: 0x80 | 0xc0, length: number): number {
  if (length <= MAX_SHORT) {
    out[at] = kind + length;
    return at + 1;
  }
  const lengthBytes = bytesIn(length);
  out[at] = kind + MAX_SHORT + lengthBytes;
  for (let i = lengthBytes, rest = length; i > 0; i--, rest = Math.floor(rest / 256)) out[at + i] = rest & 255;
  return at + 1 + lengthBytes;
}
