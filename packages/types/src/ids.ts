/**
 * The numbers and byte strings that name things. Each is *flavored*: a plain number may be used as a View, but a View may
 * not be used as a Height. Hashes are 32 bytes on the wire (`Bytes32`) and lower-case 0x-hex as map keys (`Hex`).
 */

type Flavor<T, Name extends string> = T & { readonly __flavor?: Name };

export type Epoch = Flavor<number, 'Epoch'>;
/** A round of consensus with one leader. Starts at 1; view 0 is the genesis block's. */
export type View = Flavor<number, 'View'>;
/** Position of a block in the chain; genesis is 0. */
export type Height = Flavor<number, 'Height'>;
/** Position of a validator in the epoch's set. */
export type ValidatorIndex = Flavor<number, 'ValidatorIndex'>;
/** Position of a batch in its author's lane. */
export type LaneSeq = Flavor<number, 'LaneSeq'>;
/** Names a rollup; an EVM rollup's id is its EIP-155 chain id. At most 2^53-1, as wallets demand. */
export type RollupId = Flavor<number, 'RollupId'>;
/** Voting weight; sums stay below 2^53. */
export type Weight = Flavor<number, 'Weight'>;
export type UnixMs = Flavor<number, 'UnixMs'>;

export type Bytes32 = Uint8Array;
export type Hex = `0x${string}`;
export type BlockHash = Flavor<Hex, 'BlockHash'>;
export type BatchDigest = Flavor<Hex, 'BatchDigest'>;
export type TransactionHash = Flavor<Hex, 'TransactionHash'>;

export const ZERO_HASH: Bytes32 = new Uint8Array(32);

const HEX: readonly string[] = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

const HASH_CODES: number[] = ['0', 'x', ...'0'.repeat(64)].map((digit) => digit.charCodeAt(0));
const DIGIT_CODES: readonly number[] = [...'0123456789abcdef'].map((digit) => digit.charCodeAt(0));

/**
 * 0x-prefixed, in lower case.
 *
 * @example
 * console.log(toHex(Uint8Array.of(1, 255))); // 0x01ff
 */
export function toHex(bytes: Uint8Array): Hex {
  // Hashes are most of what is written, and as map keys: made in one piece, not of parts that hashing them has to join.
  if (bytes.length === 32) return hashToHex(bytes);
  let out = '0x';
  for (let i = 0; i < bytes.length; i++) out += HEX[bytes[i]!];
  return out as Hex;
}

function hashToHex(bytes: Uint8Array): Hex {
  for (let i = 0; i < 32; i++) {
    const byte = bytes[i]!;
    HASH_CODES[2 * i + 2] = DIGIT_CODES[byte >> 4]!;
    HASH_CODES[2 * i + 3] = DIGIT_CODES[byte & 15]!;
  }
  return String.fromCharCode(...HASH_CODES) as Hex;
}

/**
 * Decodes 0x-prefixed hex. Throws a `RangeError` that names what is wrong; check outside input with `isHex` first.
 *
 * @example
 * const bytes = fromHex('0x01ff');
 */
export function fromHex(hex: string): Uint8Array {
  if (!isHex(hex)) throw new RangeError(`not 0x-prefixed hex of whole bytes: "${hex.slice(0, 80)}"`);
  const out = new Uint8Array(hex.length / 2 - 1);
  for (let i = 0; i < out.length; i++) out[i] = (digitAt(hex, 2 * i + 2) << 4) | digitAt(hex, 2 * i + 3);
  return out;
}

/** Of a digit in either case: letters are 9 more than their low four bits. */
function digitAt(hex: string, at: number): number {
  const code = hex.charCodeAt(at);
  return (code & 15) + (code > 64 ? 9 : 0);
}

export function isHex(value: unknown, byteLength?: number): value is Hex {
  return (
    typeof value === 'string' &&
    value.length % 2 === 0 &&
    (byteLength === undefined || value.length === 2 + 2 * byteLength) &&
    /^0x[0-9a-fA-F]*$/.test(value)
  );
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}
