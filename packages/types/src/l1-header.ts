/**
 * Headers of an Ethereum L1 (R24): as JSON-RPC gives them, and the RLP encoding whose Keccak-256 hash is the block's (yellow
 * paper, section 4.3; later fields: EIP-1559, 4895, 4844, 4788, 7685).
 */

import * as z from 'zod';
import { concatBytes, fromHex, type Hex, isHex } from './ids.ts';

/** Bytes and numbers as Ethereum's JSON-RPC has them. */
export const L1Data = z
  .string()
  .refine((value): value is Hex => isHex(value))
  .transform((value) => fromHex(value));
export const L1Quantity = z
  .string()
  .regex(/^0x(0|[1-9a-f][0-9a-f]{0,63})$/)
  .transform((value) => BigInt(value));

/** In the order of the encoding. Those of later forks are absent before them, from some field on. */
export const L1Header = z.object({
  parentHash: L1Data,
  sha3Uncles: L1Data,
  miner: L1Data,
  stateRoot: L1Data,
  transactionsRoot: L1Data,
  receiptsRoot: L1Data,
  logsBloom: L1Data,
  difficulty: L1Quantity,
  number: L1Quantity,
  gasLimit: L1Quantity,
  gasUsed: L1Quantity,
  timestamp: L1Quantity,
  extraData: L1Data,
  mixHash: L1Data,
  nonce: L1Data,
  baseFeePerGas: L1Quantity.optional(),
  withdrawalsRoot: L1Data.optional(),
  blobGasUsed: L1Quantity.optional(),
  excessBlobGas: L1Quantity.optional(),
  parentBeaconBlockRoot: L1Data.optional(),
  requestsHash: L1Data.optional(),
});
export type L1Header = z.infer<typeof L1Header>;

/** What is hashed. */
export function encodeL1Header(header: L1Header): Uint8Array {
  const names = Object.keys(L1Header.shape) as (keyof L1Header)[];
  const absent = names.findIndex((name) => header[name] === undefined);
  const fields = absent < 0 ? names : names.slice(0, absent);
  const items = fields.map((name) => {
    const value = header[name]!;
    return encodeBytes(typeof value === 'bigint' ? integerBytes(value) : value);
  });
  const payload = concatBytes(...items);
  return concatBytes(prefix(0xc0, payload.length), payload);
}

/** RLP of a byte string (yellow paper, appendix B). */
function encodeBytes(bytes: Uint8Array): Uint8Array {
  return bytes.length === 1 && bytes[0]! < 0x80 ? bytes : concatBytes(prefix(0x80, bytes.length), bytes);
}

function prefix(kind: number, length: number): Uint8Array {
  if (length <= 55) return Uint8Array.of(kind + length);
  const lengthBytes = integerBytes(BigInt(length));
  return concatBytes(Uint8Array.of(kind + 55 + lengthBytes.length), lengthBytes);
}

/** Big-endian without leading zeros; zero is no bytes. */
function integerBytes(value: bigint): Uint8Array {
  if (value === 0n) return new Uint8Array();
  const digits = value.toString(16);
  return fromHex(`0x${digits.length % 2 === 0 ? digits : `0${digits}`}`);
}
