/** Signed transfers of 1 wei, EIP-1559, written out by hand: libraries take ten times as long to make one. */

import { keccak256 } from '@squad/crypto/node';
import secp256k1 from 'secp256k1';

/** 100 gwei: more than the base fee of any of the systems. */
const MAX_FEE_PER_GAS = 100_000_000_000;
const TRANSFER_GAS = 21_000;
const TYPE_FEE_MARKET = 0x02;

export interface SignedTransfer {
  readonly raw: Buffer;
  /** 0x-hex. */
  readonly hash: string;
}

/** `key`: 32 bytes. `to`: 20 bytes. */
export function signTransfer(chainId: number, key: Uint8Array, nonce: number, to: Uint8Array): SignedTransfer {
  const fields = [
    rlpNumber(chainId),
    rlpNumber(nonce),
    rlpNumber(1),
    rlpNumber(MAX_FEE_PER_GAS),
    rlpNumber(TRANSFER_GAS),
    rlpBytes(to),
    rlpNumber(1),
    rlpBytes(new Uint8Array(0)),
    Buffer.of(0xc0),
  ];
  const digest = keccak256(Buffer.concat([Buffer.of(TYPE_FEE_MARKET), rlpList(fields)]));
  const { signature, recid } = secp256k1.ecdsaSign(digest, key);
  const signed = [
    ...fields,
    rlpNumber(recid),
    rlpBytes(withoutLeadingZeros(signature.subarray(0, 32))),
    rlpBytes(withoutLeadingZeros(signature.subarray(32))),
  ];
  const raw = Buffer.concat([Buffer.of(TYPE_FEE_MARKET), rlpList(signed)]);
  return { raw, hash: `0x${Buffer.from(keccak256(raw)).toString('hex')}` };
}

/** The address of a key, 20 bytes. */
export function addressOf(key: Uint8Array): Uint8Array {
  return keccak256(secp256k1.publicKeyCreate(key, false).subarray(1)).subarray(12);
}

function withoutLeadingZeros(bytes: Uint8Array): Uint8Array {
  let from = 0;
  while (from < bytes.length && bytes[from] === 0) from++;
  return bytes.subarray(from);
}

function rlpNumber(value: number): Buffer {
  if (value === 0) return Buffer.of(0x80);
  const hex = value.toString(16);
  return rlpBytes(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex'));
}

function rlpBytes(bytes: Uint8Array): Buffer {
  if (bytes.length === 1 && bytes[0]! < 0x80) return Buffer.from(bytes);
  return Buffer.concat([rlpHead(0x80, bytes.length), bytes]);
}

function rlpList(items: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(items);
  return Buffer.concat([rlpHead(0xc0, content.length), content]);
}

/** Of up to 65,535 bytes. */
function rlpHead(offset: number, length: number): Buffer {
  if (length < 56) return Buffer.of(offset + length);
  if (length < 256) return Buffer.of(offset + 56, length);
  return Buffer.of(offset + 57, length >> 8, length & 0xff);
}
