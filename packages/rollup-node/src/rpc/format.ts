/** Blocks, transactions, receipts and logs in the form of https://github.com/ethereum/execution-apis. */

import { toQuantity } from '@squad/service';
import type { Hex } from '@squad/types';
import type { SkippedTransaction } from '../execution/api.ts';
import { NO_LOGS_BLOOM } from '../execution/evm/block.ts';
import type { FoundLog, FoundTransaction, StagedBlock } from '../execution/evm/history.ts';
import { effectiveGasPrice, type SignedTransaction } from '../execution/evm/transaction.ts';
import { hexOf } from '../hex.ts';

type Json = null | boolean | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** keccak256(rlp([])): a block without uncles. */
const NO_UNCLES = '0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347';

const NO_LOGS_BLOOM_HEX = hexOf(NO_LOGS_BLOOM);

/** `squadStage`: a `soft` block may still change; while it is open its hash is provisional. */
export function formatBlock(block: StagedBlock, full: boolean, withdrawals: JsonObject[] = []): JsonObject {
  const transactions = full
    ? block.transactions.map((transaction, index) => formatTransaction({ block, index, transaction }))
    : block.transactions.map(({ hash }) => hexOf(hash));
  return {
    ...formatHeader(block),
    size: toQuantity(sizeOf(block, withdrawals)),
    transactions,
    uncles: [],
    withdrawals,
  };
}

export function formatHeader(block: StagedBlock): JsonObject {
  const { header, summary } = block;
  return {
    number: toQuantity(summary.number),
    hash: hexOf(summary.hash),
    parentHash: hexOf(header.parentHash),
    sha3Uncles: NO_UNCLES,
    logsBloom: hexOf(header.logsBloom),
    transactionsRoot: hexOf(header.transactionsTrie),
    stateRoot: hexOf(header.stateRoot),
    receiptsRoot: hexOf(header.receiptTrie),
    miner: hexOf(header.coinbase.bytes),
    difficulty: '0x0',
    extraData: hexOf(header.extraData),
    gasLimit: toQuantity(header.gasLimit),
    gasUsed: toQuantity(gasUsedOf(block)),
    timestamp: toQuantity(header.timestamp),
    mixHash: hexOf(header.mixHash),
    nonce: '0x0000000000000000',
    ...optional('baseFeePerGas', header.baseFeePerGas, toQuantity),
    ...optional('withdrawalsRoot', header.withdrawalsRoot, hexOf),
    ...optional('blobGasUsed', header.blobGasUsed, toQuantity),
    ...optional('excessBlobGas', header.excessBlobGas, toQuantity),
    ...optional('parentBeaconBlockRoot', header.parentBeaconBlockRoot, hexOf),
    ...optional('requestsHash', header.requestsHash, hexOf),
    squadStage: stageOf(block),
  };
}

export function formatTransaction({ block, index, transaction }: FoundTransaction): JsonObject {
  return {
    blockHash: hexOf(block.summary.hash),
    blockNumber: toQuantity(block.summary.number),
    blockTimestamp: toQuantity(block.summary.timestampSeconds),
    transactionIndex: toQuantity(index),
    ...formatContents(transaction.decoded, transaction.hash, transaction.from),
    gasPrice: toQuantity(transaction.receipt.effectiveGasPrice),
    squadStage: stageOf(block),
  };
}

/** Of a transaction that is not in a final block. */
export const NO_PLACE: JsonObject = {
  blockHash: null,
  blockNumber: null,
  blockTimestamp: null,
  transactionIndex: null,
};

/** A transaction that is not in a block yet. */
export function formatWaitingTransaction(decoded: SignedTransaction, hash: Uint8Array, from: Uint8Array): JsonObject {
  return { ...NO_PLACE, ...formatContents(decoded, hash, from) };
}

function formatContents(decoded: SignedTransaction, hash: Uint8Array, from: Uint8Array): JsonObject {
  return {
    type: toQuantity(decoded.type),
    hash: hexOf(hash),
    from: hexOf(from),
    to: decoded.to === undefined ? null : hexOf(decoded.to.bytes),
    nonce: toQuantity(decoded.nonce),
    value: toQuantity(decoded.value),
    gas: toQuantity(decoded.gasLimit),
    gasPrice: toQuantity(effectiveGasPrice(decoded, 0n)),
    input: hexOf(decoded.data),
    ...formatTyped(decoded),
    v: toQuantity(decoded.v ?? 0n),
    r: toQuantity(decoded.r ?? 0n),
    s: toQuantity(decoded.s ?? 0n),
  };
}

function formatTyped(decoded: SignedTransaction): JsonObject {
  if (decoded.type === 0) {
    const v = decoded.v ?? 0n;
    return v >= 35n ? { chainId: toQuantity((v - 35n) / 2n) } : {};
  }
  const typed: JsonObject = {
    chainId: toQuantity(decoded.chainId),
    yParity: toQuantity(decoded.v ?? 0n),
  };
  if ('accessList' in decoded) {
    typed.accessList = decoded.accessList.map(([address, keys]) => ({
      address: hexOf(address),
      storageKeys: keys.map((key) => hexOf(key)),
    }));
  }
  if ('maxFeePerGas' in decoded) {
    typed.maxFeePerGas = toQuantity(decoded.maxFeePerGas);
    typed.maxPriorityFeePerGas = toQuantity(decoded.maxPriorityFeePerGas);
  }
  if ('authorizationList' in decoded) typed.authorizationList = decoded.authorizationList.map(formatAuthorization);
  return typed;
}

function formatAuthorization(item: readonly Uint8Array[]): JsonObject {
  const [chainId, address, nonce, yParity, r, s] = item as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const quantity = (bytes: Uint8Array) => toQuantity(bytes.length === 0 ? 0n : BigInt(hexOf(bytes)));
  return {
    chainId: quantity(chainId),
    address: hexOf(address),
    nonce: quantity(nonce),
    yParity: quantity(yParity),
    r: quantity(r),
    s: quantity(s),
  };
}

/** Soft receipts are given too: `squadStage` tells; block hash, index and outcome may still change until it is `final`. */
export function formatReceipt(found: FoundTransaction): JsonObject {
  const { block, index, transaction } = found;
  const { receipt, decoded } = transaction;
  let logIndex = receipt.firstLogIndex;
  return {
    type: toQuantity(decoded.type),
    status: toQuantity(receipt.status),
    transactionHash: hexOf(transaction.hash),
    transactionIndex: toQuantity(index),
    blockHash: hexOf(block.summary.hash),
    blockNumber: toQuantity(block.summary.number),
    from: hexOf(transaction.from),
    to: decoded.to === undefined ? null : hexOf(decoded.to.bytes),
    cumulativeGasUsed: toQuantity(receipt.cumulativeGasUsed),
    gasUsed: toQuantity(receipt.gasUsed),
    effectiveGasPrice: toQuantity(receipt.effectiveGasPrice),
    contractAddress: receipt.contractAddress === undefined ? null : hexOf(receipt.contractAddress),
    logs: receipt.logs.map((log) =>
      formatLog({ block, transaction, transactionIndex: index, logIndex: logIndex++, log }),
    ),
    logsBloom: receipt.bloom === NO_LOGS_BLOOM ? NO_LOGS_BLOOM_HEX : hexOf(receipt.bloom),
    squadStage: stageOf(block),
  };
}

export function formatLog(found: FoundLog): JsonObject {
  const { block, transaction, transactionIndex, logIndex, log } = found;
  return {
    address: hexOf(log.address),
    topics: log.topics.map((topic) => hexOf(topic)),
    data: hexOf(log.data),
    blockNumber: toQuantity(block.summary.number),
    blockHash: hexOf(block.summary.hash),
    blockTimestamp: toQuantity(block.summary.timestampSeconds),
    transactionHash: hexOf(transaction.hash),
    transactionIndex: toQuantity(transactionIndex),
    logIndex: toQuantity(logIndex),
    removed: false,
  };
}

export function formatSkipped({ hash, code, reason, height }: SkippedTransaction): JsonObject {
  return { hash: hexOf(hash), code, reason, height: height === undefined ? null : toQuantity(height) };
}

/** Bytes of the block's RLP. */
function sizeOf(block: StagedBlock, withdrawals: readonly JsonObject[]): number {
  // A typed transaction is a string of bytes in the list, a legacy one a list itself.
  const transactions = block.transactions.map(({ raw }) => (raw[0]! < 0xc0 ? withPrefix(raw.length) : raw.length));
  const payments = withdrawals.map((fields) =>
    withPrefix(
      sum(
        Object.values(fields).map((value) => {
          const digits = (value as string).slice(2);
          return digits.length <= 2 && Number.parseInt(digits, 16) < 0x80
            ? 1
            : withPrefix(Math.ceil(digits.length / 2));
        }),
      ),
    ),
  );
  const header = block.header.serialize().length;
  return withPrefix(header + withPrefix(sum(transactions)) + NO_ITEMS_BYTES + withPrefix(sum(payments)));
}

/** Of a block without uncles. */
const NO_ITEMS_BYTES = 1;

/** Bytes of an RLP item whose payload has so many (yellow paper, appendix B). */
function withPrefix(payload: number): number {
  return payload < 56 ? 1 + payload : 1 + Math.ceil(payload.toString(16).length / 2) + payload;
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}

/** Also of a block that is still open. */
export function gasUsedOf({ transactions }: StagedBlock): bigint {
  return transactions.at(-1)?.receipt.cumulativeGasUsed ?? 0n;
}

function stageOf(block: StagedBlock): 'soft' | 'final' {
  return block.stage === 'final' ? 'final' : 'soft';
}

function optional<T>(name: string, value: T | undefined, format: (value: T) => Hex): JsonObject {
  return value === undefined ? {} : { [name]: format(value) };
}
