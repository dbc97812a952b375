/**
 * Deposited transactions of the OP Stack, type 0x7E: https://specs.optimism.io/protocol/deposits.html. They have no signature;
 * their source hash stands for what they come from, so that no two have the same hash.
 */

import { RLP } from '@ethereumjs/rlp';
import { bytesToBigInt } from '@ethereumjs/util';
import { type Bytes32, concatBytes, equalBytes, err, ok, type Result } from '@squad/types';
import { encodeList, integerBytes } from '../../execution/evm/rlp.ts';
import { keccak256 } from '../../execution/keccak.ts';

export const DEPOSIT_TYPE = 0x7e;
const ADDRESS_BYTES = 20;
const WORD_BYTES = 32;
const FIELDS = 8;

export interface DepositTransaction {
  readonly sourceHash: Bytes32;
  /** 20 bytes; of a contract on L1, aliased. */
  readonly from: Uint8Array;
  /** 20 bytes; undefined: a contract is created. */
  readonly to: Uint8Array | undefined;
  /** Wei that come into being on L2; 0: none. */
  readonly mint: bigint;
  /** Wei. */
  readonly value: bigint;
  readonly gasLimit: bigint;
  /** Uses no gas of the block; false since Regolith. */
  readonly isSystem: boolean;
  readonly data: Uint8Array;
}

export function encodeDeposit(deposit: DepositTransaction): Uint8Array {
  const fields = [
    deposit.sourceHash,
    deposit.from,
    deposit.to ?? new Uint8Array(),
    integerBytes(deposit.mint),
    integerBytes(deposit.value),
    integerBytes(deposit.gasLimit),
    integerBytes(deposit.isSystem ? 1n : 0n),
    deposit.data,
  ];
  return concatBytes(Uint8Array.of(DEPOSIT_TYPE), encodeList(fields));
}

/** Only the canonical encoding: what decodes encodes to the same bytes. */
export function decodeDeposit(bytes: Uint8Array): Result<DepositTransaction, string> {
  if (bytes[0] !== DEPOSIT_TYPE) return err('not of type 0x7e');
  let fields: unknown;
  try {
    fields = RLP.decode(bytes.subarray(1));
  } catch (error) {
    return err(error instanceof Error ? error.message : String(error));
  }
  if (!isFlat(fields) || fields.length !== FIELDS) return err(`not a list of ${FIELDS} byte strings`);
  const [sourceHash, from, to, mint, value, gasLimit, isSystem, data] = fields as [Uint8Array, ...Uint8Array[]];
  if (sourceHash.length !== WORD_BYTES || from!.length !== ADDRESS_BYTES) return err('a field of another length');
  if (to!.length !== 0 && to!.length !== ADDRESS_BYTES) return err('the recipient is no address');
  if (mint!.length > WORD_BYTES || value!.length > WORD_BYTES || gasLimit!.length > 8) return err('a number too large');
  const deposit: DepositTransaction = {
    sourceHash,
    from: from!,
    to: to!.length === 0 ? undefined : to!,
    mint: bytesToBigInt(mint!),
    value: bytesToBigInt(value!),
    gasLimit: bytesToBigInt(gasLimit!),
    isSystem: isSystem!.length > 0,
    data: data!,
  };
  return equalBytes(encodeDeposit(deposit), bytes) ? ok(deposit) : err('not the canonical encoding');
}

/** Of a deposit made on L1: `logIndex` counts all logs of the L1 block. */
export function userDepositSource(l1BlockHash: Bytes32, logIndex: number): Bytes32 {
  return sourceHash(0, keccak256(concatBytes(l1BlockHash, word(logIndex))));
}

/** Of the L1 attributes: `sequenceNumber` counts the L2 blocks with this L1 origin, from 0. */
export function l1AttributesSource(l1BlockHash: Bytes32, sequenceNumber: number): Bytes32 {
  return sourceHash(1, keccak256(concatBytes(l1BlockHash, word(sequenceNumber))));
}

/** Of a network upgrade: `intent` is the text that the specification gives, such as "Ecotone: L1 Block Proxy Update". */
export function upgradeSource(intent: string): Bytes32 {
  return sourceHash(2, keccak256(new TextEncoder().encode(intent)));
}

function sourceHash(domain: number, of: Bytes32): Bytes32 {
  return keccak256(concatBytes(word(domain), of));
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(WORD_BYTES);
  new DataView(bytes.buffer).setBigUint64(WORD_BYTES - 8, BigInt(value));
  return bytes;
}

function isFlat(value: unknown): value is Uint8Array[] {
  return Array.isArray(value) && value.every((each) => each instanceof Uint8Array);
}
