/** Blocks, transactions and receipts of an EVM rollup: in memory, and as stored (RLP). */

import {
  Block,
  type BlockHeader,
  createBlockHeader,
  createBlockHeaderFromBytesArray,
  type HeaderData,
} from '@ethereumjs/block';
import type { Common } from '@ethereumjs/common';
import { type NestedUint8Array, RLP } from '@ethereumjs/rlp';
import { bytesToBigInt, bytesToInt, intToUnpaddedBytes } from '@ethereumjs/util';
import { concatBytes } from '@squad/types';
import type { BlockSummary } from '../api.ts';
import { encodeList, integerBytes, type RlpItem } from './rlp.ts';
import { decodeKnown, type SignedTransaction } from './transaction.ts';

export interface EvmLog {
  readonly address: Uint8Array;
  readonly topics: readonly Uint8Array[];
  readonly data: Uint8Array;
}

export interface EvmReceipt {
  readonly status: 0 | 1;
  readonly gasUsed: bigint;
  /** Of this and all transactions before it in the block. */
  readonly cumulativeGasUsed: bigint;
  /** Wei. */
  readonly effectiveGasPrice: bigint;
  readonly logs: readonly EvmLog[];
  /** Position of its first log among all logs of the block. */
  readonly firstLogIndex: number;
  /** 256 bytes. */
  readonly bloom: Uint8Array;
  /** Address of the contract that the transaction created. */
  readonly contractAddress: Uint8Array | undefined;
}

export interface EvmTransaction {
  readonly hash: Uint8Array;
  /** As it was ordered. */
  readonly raw: Uint8Array;
  readonly from: Uint8Array;
  readonly decoded: SignedTransaction;
  readonly receipt: EvmReceipt;
}

/** A block that is sealed, or, as `stage` tells, the one that is still open. */
export interface EvmBlock {
  readonly summary: BlockSummary;
  readonly header: BlockHeader;
  readonly transactions: readonly EvmTransaction[];
  /** EIP-7685: what the system contracts of a rollup with `ethereumBlocks` ask for, each with its type before it; by type. */
  readonly requests: readonly Uint8Array[];
}

const NOTHING = new Uint8Array();
const SUCCESS = Uint8Array.of(1);
/** The bloom of no logs. */
export const NO_LOGS_BLOOM: Uint8Array = new Uint8Array(256);

/** EIP-2718: the type before the RLP of a receipt; nothing before that of a legacy transaction. */
export function encodeConsensusReceipt(type: number, receipt: EvmReceipt): Uint8Array {
  const { status, cumulativeGasUsed, bloom, logs } = receipt;
  if (logs.length === 0) return encodeReceiptWithoutLogs(type, status, cumulativeGasUsed);
  const body = encodeList([status === 1 ? SUCCESS : NOTHING, integerBytes(cumulativeGasUsed), bloom, logsItem(logs)]);
  return type === 0 ? body : concatBytes(Uint8Array.of(type), body);
}

/** The same as RLP, and the empty list of them. */
const NO_LOGS = concatBytes(Uint8Array.of(0xb9, 1, 0), NO_LOGS_BLOOM, Uint8Array.of(0xc0));

function encodeReceiptWithoutLogs(type: number, status: 0 | 1, cumulativeGasUsed: bigint): Uint8Array {
  const gas = integerBytes(cumulativeGasUsed);
  // Gas takes at least two bytes: no transaction uses less than 21,000.
  const payload = 2 + gas.length + NO_LOGS.length;
  const prefix = [0xf9, payload >> 8, payload & 255, status === 1 ? 1 : 0x80, 0x80 + gas.length];
  return concatBytes(Uint8Array.from(type === 0 ? prefix : [type, ...prefix]), gas, NO_LOGS);
}

function logsItem(logs: readonly EvmLog[]): RlpItem[] {
  return logs.map((log) => [log.address, log.topics, log.data]);
}

/** The header, the slot plus 1 (genesis is before slot 0), the number of transactions; the requests, if there are any. */
export function encodeHeaderRecord(block: EvmBlock): Uint8Array {
  return RLP.encode([
    block.header.raw() as NestedUint8Array,
    intToUnpaddedBytes(block.summary.slot + 1),
    intToUnpaddedBytes(block.transactions.length),
    ...(block.requests.length === 0 ? [] : [[...block.requests]]),
  ]);
}

export function decodeHeaderRecord(bytes: Uint8Array, common: Common): Omit<EvmBlock, 'transactions'> {
  const [raw, slot, count, requests = []] = RLP.decode(bytes) as [Uint8Array[], Uint8Array, Uint8Array, Uint8Array[]?];
  const header = createBlockHeaderFromBytesArray(raw, { common, skipConsensusFormatValidation: true });
  return { header, summary: summaryOf(header, bytesToInt(slot) - 1, bytesToInt(count)), requests };
}

export function summaryOf(header: BlockHeader, slot: number, transactionCount: number): BlockSummary {
  return {
    number: Number(header.number),
    hash: header.hash(),
    parentHash: header.parentHash,
    stateRoot: header.stateRoot,
    slot,
    timestampSeconds: Number(header.timestamp),
    transactionCount,
  };
}

export function encodeBodyRecord(transactions: readonly EvmTransaction[]): Uint8Array {
  return encodeList(transactions.map(({ raw }) => raw));
}

/** What a receipt record adds to what follows from its transactions. */
export function encodeReceiptsRecord(transactions: readonly EvmTransaction[]): Uint8Array {
  return encodeList(
    transactions.map(({ from, hash, receipt }) => [
      hash,
      from,
      receipt.status === 1 ? SUCCESS : NOTHING,
      integerBytes(receipt.gasUsed),
      integerBytes(receipt.effectiveGasPrice),
      receipt.contractAddress ?? NOTHING,
      receipt.logs.length === 0 ? NOTHING : receipt.bloom,
      logsItem(receipt.logs),
    ]),
  );
}

type ReceiptItem = [...Uint8Array[], [Uint8Array, Uint8Array[], Uint8Array][]];

export function decodeTransactions(body: Uint8Array, receipts: Uint8Array, common: Common): EvmTransaction[] {
  const raws = RLP.decode(body) as Uint8Array[];
  const items = RLP.decode(receipts) as unknown as ReceiptItem[];
  let cumulativeGasUsed = 0n;
  let firstLogIndex = 0;
  return raws.map((raw, index) => {
    const item = items[index]!;
    const [hash, from, status, gasUsed, price, contract, bloom] = item.slice(0, 7) as Uint8Array[];
    const logs = item[7] as [Uint8Array, Uint8Array[], Uint8Array][];
    cumulativeGasUsed += bytesToBigInt(gasUsed!);
    const receipt: EvmReceipt = {
      status: status!.length === 0 ? 0 : 1,
      gasUsed: bytesToBigInt(gasUsed!),
      cumulativeGasUsed,
      effectiveGasPrice: bytesToBigInt(price!),
      contractAddress: contract!.length === 0 ? undefined : contract!,
      firstLogIndex,
      bloom: bloom!.length === 0 ? NO_LOGS_BLOOM : bloom!,
      logs: logs.map(([address, topics, data]) => ({ address, topics, data })),
    };
    firstLogIndex = nextLogIndex(receipt);
    return { hash: hash!, raw, from: from!, decoded: decodeKnown(raw, common), receipt };
  });
}

/** Where the logs of the next transaction begin. */
export function nextLogIndex(previous: EvmReceipt | undefined): number {
  return previous === undefined ? 0 : previous.firstLogIndex + previous.logs.length;
}

/** A header with the fields that every block of this rollup has in common. */
export function makeHeader(common: Common, fields: HeaderData): BlockHeader {
  return createBlockHeader(fields, { common, skipConsensusFormatValidation: true });
}

/** A block with such a header and nothing in it: what the virtual machine sees of the block it runs in. */
export function makeBlock(common: Common, fields: HeaderData): Block {
  const options = { common, skipConsensusFormatValidation: true };
  return new Block(makeHeader(common, fields), [], [], [], options);
}

/** The union of blooms. */
export function joinBlooms(blooms: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(256);
  for (const bloom of blooms) {
    if (bloom === NO_LOGS_BLOOM) continue;
    for (let i = 0; i < 256; i++) joined[i]! |= bloom[i]!;
  }
  return joined;
}
