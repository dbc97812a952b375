/**
 * Strict RLP for hostile bytes: a cursor that hands out views. It never copies and never recurses, so what it costs is
 * bounded by the bytes read, however deeply lists are nested. Only the canonical encoding is accepted: shortest lengths,
 * bytes below 0x80 as themselves, integers without leading zeros, nothing after the end.
 */

/** Thrown on anything that is not canonical; `message` names the field. */
export class RlpError extends Error {}

export class RlpCursor {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;
  /** Set by `#header`: where the payload of the item at the cursor begins, and its length. */
  #start = 0;
  #length = 0;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get done(): boolean {
    return this.#at >= this.#end;
  }

  /** Position of the next item in the bytes. */
  get position(): number {
    return this.#at;
  }

  /** A byte string of at least `min` and at most `max` bytes, as a view. */
  string(field: string, min: number, max: number): Uint8Array {
    if (this.#header(field)) throw new RlpError(`${field} is a list, expected bytes`);
    if (this.#length < min || this.#length > max) {
      throw new RlpError(`${field} has ${this.#length} bytes, expected ${min === max ? min : `${min} to ${max}`}`);
    }
    this.#at = this.#start + this.#length;
    return this.#bytes.subarray(this.#start, this.#at);
  }

  /** An unsigned integer of at most `maxBytes`, as its big-endian bytes without leading zeros; zero is no bytes. */
  integerBytes(field: string, maxBytes: number): Uint8Array {
    const bytes = this.string(field, 0, maxBytes);
    if (bytes[0] === 0) throw new RlpError(`${field} has leading zeros`);
    return bytes;
  }

  integer(field: string, maxBytes: number): bigint {
    return bigEndian(this.integerBytes(field, maxBytes));
  }

  /** An integer that a number holds exactly. */
  safeInteger(field: string): number {
    const value = bigEndian(this.integerBytes(field, 8));
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new RlpError(`${field} is above 2^53-1`);
    return Number(value);
  }

  /** Enters a list and leaves this cursor behind it. */
  list(field: string): RlpCursor {
    if (!this.#header(field)) throw new RlpError(`${field} is bytes, expected a list`);
    this.#at = this.#start + this.#length;
    return new RlpCursor(this.#bytes, this.#start, this.#at);
  }

  /** Nothing may follow. */
  finish(what: string): void {
    if (!this.done) throw new RlpError(`${what} has ${this.#end - this.#at} bytes too many`);
  }

  /** Reads the prefix of the next item; true if it is a list. */
  #header(field: string): boolean {
    if (this.done) throw new RlpError(`${field} is missing`);
    const prefix = this.#bytes[this.#at]!;
    if (prefix < 0x80) {
      this.#start = this.#at;
      this.#length = 1;
      return false;
    }
    const isList = prefix >= 0xc0;
    const short = prefix - (isList ? 0xc0 : 0x80);
    if (short <= 55) {
      this.#start = this.#at + 1;
      this.#length = short;
    } else {
      this.#longLength(field, short - 55);
    }
    if (this.#start + this.#length > this.#end) throw new RlpError(`${field} ends beyond its list or the transaction`);
    if (!isList && this.#length === 1 && this.#bytes[this.#start]! < 0x80) {
      throw new RlpError(`${field} is one byte below 0x80 with a prefix`);
    }
    return isList;
  }

  #longLength(field: string, lengthBytes: number): void {
    const from = this.#at + 1;
    // Four bytes of length are 4 GiB: more than any transaction, and safe to add up.
    if (lengthBytes > 4 || from + lengthBytes > this.#end) {
      throw new RlpError(`${field} ends beyond its list or the transaction`);
    }
    let length = 0;
    for (let i = 0; i < lengthBytes; i++) length = length * 256 + this.#bytes[from + i]!;
    if (length <= 55 || this.#bytes[from] === 0) throw new RlpError(`${field} has a length that is not the shortest`);
    this.#start = from + lengthBytes;
    this.#length = length;
  }
}

export function bigEndian(bytes: Uint8Array): bigint {
  let number = 0;
  if (bytes.length <= 6) {
    for (let i = 0; i < bytes.length; i++) number = number * 256 + bytes[i]!;
    return BigInt(number);
  }
  let value = 0n;
  for (let i = 0; i < bytes.length; i++) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}

/** The prefix of a list whose items take `length` bytes. */
export function listPrefix(length: number): Uint8Array {
  if (length <= 55) return Uint8Array.of(0xc0 + length);
  const digits: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return Uint8Array.of(0xf7 + digits.length, ...digits);
}

/** The canonical encoding of an unsigned integer below 2^53. */
export function encodeInteger(value: number): Uint8Array {
  if (value === 0) return Uint8Array.of(0x80);
  if (value < 0x80) return Uint8Array.of(value);
  const digits: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return Uint8Array.of(0x80 + digits.length, ...digits);
}
