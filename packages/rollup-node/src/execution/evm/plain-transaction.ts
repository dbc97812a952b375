/**
 * The transaction that nearly all are: EIP-1559, to a recipient, without an access list. Read straight from its bytes, in
 * a fraction of the time that the library takes to make an object of it. Whatever is not exactly of this form, or not
 * valid, is left to the library, which also says what is wrong.
 */

import { recoverAddress } from '@squad/crypto/node';
import { concatBytes } from '@squad/types';
import { keccak256 } from '../keccak.ts';

const TYPE = 2;
const ADDRESS_BYTES = 20;
const WORD_BYTES = 32;
const EMPTY_LIST = 0xc0;
/** Prices beyond it go to the library, which bounds their product with the gas limit. */
const MAX_PRICE_BYTES = 16;
/** EIP-2681: nonces are below it. */
const NONCE_LIMIT = 2n ** 64n - 1n;
/** EIP-7825, which the library looks after. */
const MAX_GAS_LIMIT = 2n ** 24n;
const MAX_LENGTH_BYTES = 4;

/** Has the fields that the library's transaction has, under the same names. */
export class PlainTransaction {
  readonly type = TYPE;
  readonly chainId: bigint;
  readonly nonce: bigint;
  /** Wei for each gas. */
  readonly maxPriorityFeePerGas: bigint;
  readonly maxFeePerGas: bigint;
  readonly gasLimit: bigint;
  readonly to: { readonly bytes: Uint8Array };
  /** Wei. */
  readonly value: bigint;
  readonly data: Uint8Array;
  readonly accessList: readonly never[] = [];
  readonly #unsigned: Uint8Array;
  readonly #parity: number;
  readonly #r: Uint8Array;
  readonly #s: Uint8Array;

  private constructor(fields: FieldReader) {
    this.chainId = fields.integer(8);
    this.nonce = fields.integer(8);
    this.maxPriorityFeePerGas = fields.integer(MAX_PRICE_BYTES);
    this.maxFeePerGas = fields.integer(MAX_PRICE_BYTES);
    this.gasLimit = fields.integer(8);
    this.to = { bytes: fields.string() };
    this.value = fields.integer(WORD_BYTES);
    this.data = fields.string();
    fields.emptyList();
    this.#unsigned = fields.readSoFar;
    this.#parity = Number(fields.integer(1));
    this.#r = fields.integerBytes(WORD_BYTES);
    this.#s = fields.integerBytes(WORD_BYTES);
  }

  /** Byte fields are views into the raw bytes. What is returned is canonically encoded: no other bytes say the same. */
  static decode(raw: Uint8Array, chainId: bigint): PlainTransaction | undefined {
    if (raw[0] !== TYPE) return undefined;
    const fields = new FieldReader(raw, 1);
    const transaction = new PlainTransaction(fields);
    return fields.isComplete && transaction.#isValid(chainId) ? transaction : undefined;
  }

  get v(): bigint {
    return BigInt(this.#parity);
  }

  get r(): bigint {
    return bigEndian(this.#r);
  }

  get s(): bigint {
    return bigEndian(this.#s);
  }

  /** 20 bytes; undefined if the signature is not valid. */
  recoverSender(): Uint8Array | undefined {
    const payload = concatBytes(Uint8Array.of(TYPE), listPrefix(this.#unsigned.length), this.#unsigned);
    return recoverAddress(keccak256(payload), this.#r, this.#s, this.#parity);
  }

  #isValid(chainId: bigint): boolean {
    return (
      this.chainId === chainId &&
      this.to.bytes.length === ADDRESS_BYTES &&
      this.nonce < NONCE_LIMIT &&
      this.gasLimit <= MAX_GAS_LIMIT &&
      this.maxPriorityFeePerGas <= this.maxFeePerGas &&
      this.#parity <= 1
    );
  }
}

/** Reads the fields of one list that must be all of the bytes. What it returns after a fault means nothing. */
class FieldReader {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  #at: number;
  #isSound = true;

  constructor(bytes: Uint8Array, listAt: number) {
    this.#bytes = bytes;
    this.#at = listAt;
    const end = this.#enter(0xc0);
    if (end !== bytes.length) this.#fail();
    this.#start = this.#at;
  }

  /** All was read, and all of it was canonical. */
  get isComplete(): boolean {
    return this.#isSound && this.#at === this.#bytes.length;
  }

  get readSoFar(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#at);
  }

  string(): Uint8Array {
    const first = this.#bytes[this.#at] ?? 0xff;
    if (first < 0x80) return this.#bytes.subarray(this.#at, ++this.#at);
    const end = this.#enter(0x80);
    const start = this.#at;
    // A single byte below 0x80 stands for itself.
    if (end === start + 1 && this.#bytes[start]! < 0x80) this.#fail();
    this.#at = end;
    return this.#bytes.subarray(start, end);
  }

  /** Without leading zeros; zero is no bytes. */
  integerBytes(maxBytes: number): Uint8Array {
    const bytes = this.string();
    if (bytes.length > maxBytes || bytes[0] === 0) this.#fail();
    return bytes;
  }

  integer(maxBytes: number): bigint {
    const bytes = this.integerBytes(maxBytes);
    return this.#isSound ? bigEndian(bytes) : 0n;
  }

  emptyList(): void {
    if (this.#bytes[this.#at++] !== EMPTY_LIST) this.#fail();
  }

  /** Goes behind the prefix of a string (0x80) or list (0xc0); returns where it ends. */
  #enter(kind: 0x80 | 0xc0): number {
    const short = (this.#bytes[this.#at++] ?? 0xff) - kind;
    if (short < 0 || short > 63) return this.#fail();
    if (short <= 55) return this.#within(short);
    const lengthBytes = short - 55;
    let length = 0;
    if (lengthBytes > MAX_LENGTH_BYTES || this.#bytes[this.#at] === 0) return this.#fail();
    for (let i = 0; i < lengthBytes; i++) length = length * 256 + (this.#bytes[this.#at++] ?? 0);
    return length <= 55 ? this.#fail() : this.#within(length);
  }

  #within(length: number): number {
    const end = this.#at + length;
    return end <= this.#bytes.length ? end : this.#fail();
  }

  #fail(): number {
    this.#isSound = false;
    this.#at = this.#bytes.length;
    return this.#at;
  }
}

function bigEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  // Six bytes at a time fit a number.
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(at + 6, bytes.length);
    const bits = 8 * (end - at);
    let part = 0;
    for (; at < end; at++) part = part * 256 + bytes[at]!;
    value = value === 0n ? BigInt(part) : (value << BigInt(bits)) | BigInt(part);
  }
  return value;
}

function listPrefix(length: number): Uint8Array {
  if (length <= 55) return Uint8Array.of(0xc0 + length);
  const digits: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return Uint8Array.of(0xf7 + digits.length, ...digits);
}
