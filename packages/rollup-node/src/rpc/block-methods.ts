/** Methods about blocks, transactions, receipts and logs. */

import { defineMethod, type RpcMethod, toQuantity } from '@squad/service';
import { z } from 'zod';
import {
  type FoundTransaction,
  MAX_LOG_RANGE_BLOCKS,
  MAX_LOG_RESULTS,
  type StagedBlock,
} from '../execution/evm/history.ts';
import { hexOf } from '../hex.ts';
import type { RpcState } from './context.ts';
import { refused, unknownBlock } from './errors.ts';
import {
  formatBlock,
  formatHeader,
  formatLog,
  formatReceipt,
  formatSkipped,
  formatTransaction,
  formatWaitingTransaction,
  type JsonObject,
  NO_PLACE,
} from './format.ts';
import { BlockChoice, BlockNumber, type BlockReference, LogQuery, SmallQuantity, Word } from './schemas.ts';

export function blockMethods(state: RpcState): RpcMethod[] {
  return [...wholeBlockMethods(state), ...transactionMethods(state), logMethod(state)];
}

const BY_HASH = { blockHash: Word };
const BY_NUMBER = { block: BlockNumber };

function wholeBlockMethods(state: RpcState): RpcMethod[] {
  const full = z.boolean().default(false);
  const result = { name: 'block', description: 'The block with transactions or their hashes; null if there is none' };
  const format = (block: StagedBlock | undefined, whole: boolean) =>
    block === undefined ? null : formatBlock(block, whole);
  const header = { name: 'header', description: 'The block without transactions; null if there is none' };
  const formatted = (block: StagedBlock | undefined) => (block === undefined ? null : formatHeader(block));
  return [
    defineMethod({
      name: 'eth_getBlockByNumber',
      summary: 'A block by number or tag; latest: final order, pending: soft order',
      params: { ...BY_NUMBER, fullTransactions: full },
      result,
      handler: ({ block, fullTransactions }) => format(state.findBlock(block), fullTransactions),
    }),
    defineMethod({
      name: 'eth_getBlockByHash',
      summary: 'A block by hash',
      params: { ...BY_HASH, fullTransactions: full },
      result,
      handler: ({ blockHash, fullTransactions }) => format(state.history.blockByHash(blockHash), fullTransactions),
    }),
    defineMethod({
      name: 'eth_getHeaderByNumber',
      summary: 'A block’s header by number or tag',
      params: BY_NUMBER,
      result: header,
      handler: ({ block }) => formatted(state.findBlock(block)),
    }),
    defineMethod({
      name: 'eth_getHeaderByHash',
      summary: 'A block’s header by hash',
      params: BY_HASH,
      result: header,
      handler: ({ blockHash }) => formatted(state.history.blockByHash(blockHash)),
    }),
    defineMethod({
      name: 'eth_getBlockReceipts',
      summary: 'All receipts of a block',
      params: { block: BlockChoice },
      result: { name: 'receipts', description: 'In order of the transactions; null if there is no such block' },
      handler: ({ block }) => {
        const found = state.findBlock(block);
        return (
          found?.transactions.map((transaction, index) => formatReceipt({ block: found, index, transaction })) ?? null
        );
      },
    }),
    ...counts(state, 'eth_getBlockTransactionCount', 'Number of transactions of a block', (b) => b.transactions.length),
    ...counts(state, 'eth_getUncleCount', 'Always 0: there are no uncles', () => 0),
    ...uncles(),
  ];
}

/** The two methods …ByHash and …ByNumber that count something in a block. */
function counts(state: RpcState, prefix: string, summary: string, count: (block: StagedBlock) => number): RpcMethod[] {
  const result = { name: 'count', description: 'null if there is no such block' };
  const answer = (block: StagedBlock | undefined) => (block === undefined ? null : toQuantity(count(block)));
  const name = prefix.startsWith('eth_getUncle') ? `${prefix}ByBlock` : `${prefix}By`;
  return [
    defineMethod({
      name: `${name}Hash`,
      summary,
      params: BY_HASH,
      result,
      handler: ({ blockHash }) => answer(state.history.blockByHash(blockHash)),
    }),
    defineMethod({
      name: `${name}Number`,
      summary,
      params: BY_NUMBER,
      result,
      handler: ({ block }) => answer(state.findBlock(block)),
    }),
  ];
}

function uncles(): RpcMethod[] {
  const result = { name: 'uncle', description: 'Always null: there are no uncles' };
  const summary = 'Always null: there are no uncles';
  const uncleIndex = SmallQuantity;
  return [
    defineMethod({
      name: 'eth_getUncleByBlockHashAndIndex',
      summary,
      params: { ...BY_HASH, uncleIndex },
      result,
      handler: () => null,
    }),
    defineMethod({
      name: 'eth_getUncleByBlockNumberAndIndex',
      summary,
      params: { ...BY_NUMBER, uncleIndex },
      result,
      handler: () => null,
    }),
  ];
}

function transactionMethods(state: RpcState): RpcMethod[] {
  const { history, submitted, skipped } = state;
  const result = { name: 'transaction', description: 'null if it is not known' };
  const raw = { name: 'raw', description: 'EIP-2718 bytes; null if it was not executed' };
  const transactionIndex = SmallQuantity;
  return [
    defineMethod({
      name: 'eth_getTransactionByHash',
      summary: 'A transaction, also one that was sent through this node and is not ordered yet',
      params: { transactionHash: Word },
      result,
      handler: ({ transactionHash }) => {
        const found = history.transaction(transactionHash);
        // Like its receipt: it has a place once that is final. Under `pending` it has one before.
        if (found !== undefined) return { ...formatTransaction(found), ...(isFinal(found) ? {} : NO_PLACE) };
        const waiting = submitted.get(transactionHash);
        return waiting === undefined ? null : formatWaitingTransaction(waiting.decoded, waiting.hash, waiting.from);
      },
    }),
    defineMethod({
      name: 'eth_getRawTransactionByHash',
      summary: 'A transaction as it was ordered, byte by byte',
      params: { transactionHash: Word },
      result: raw,
      handler: ({ transactionHash }) => {
        const found = history.transaction(transactionHash);
        return found === undefined ? null : hexOf(found.transaction.raw);
      },
    }),
    defineMethod({
      name: 'eth_getTransactionByBlockHashAndIndex',
      summary: 'A transaction by its place',
      params: { ...BY_HASH, transactionIndex },
      result,
      handler: ({ blockHash, transactionIndex: index }) => transactionAt(history.blockByHash(blockHash), index),
    }),
    defineMethod({
      name: 'eth_getTransactionByBlockNumberAndIndex',
      summary: 'A transaction by its place',
      params: { ...BY_NUMBER, transactionIndex },
      result,
      handler: ({ block, transactionIndex: index }) => transactionAt(state.findBlock(block), index),
    }),
    defineMethod({
      name: 'eth_getRawTransactionByBlockHashAndIndex',
      summary: 'A transaction by its place, byte by byte',
      params: { ...BY_HASH, transactionIndex },
      result: raw,
      handler: ({ blockHash, transactionIndex: index }) => rawAt(history.blockByHash(blockHash), index),
    }),
    defineMethod({
      name: 'eth_getRawTransactionByBlockNumberAndIndex',
      summary: 'A transaction by its place, byte by byte',
      params: { ...BY_NUMBER, transactionIndex },
      result: raw,
      handler: ({ block, transactionIndex: index }) => rawAt(state.findBlock(block), index),
    }),
    defineMethod({
      name: 'eth_getTransactionReceipt',
      summary: 'A receipt, once the transaction is in `latest`: whoever has it reads its effects there',
      params: { transactionHash: Word },
      result: { name: 'receipt', description: 'null if the transaction was not executed, or its block is not final' },
      handler: ({ transactionHash }) => {
        const found = history.transaction(transactionHash);
        return found !== undefined && isFinal(found) ? formatReceipt(found) : null;
      },
    }),
    defineMethod({
      name: 'squad_getTransactionReceipt',
      summary: 'A receipt, as soon as the transaction is executed in soft order; squadStage tells how certain it is',
      params: { transactionHash: Word },
      result: { name: 'receipt', description: 'null if the transaction was not executed' },
      handler: ({ transactionHash }) => {
        const found = history.transaction(transactionHash);
        return found === undefined ? null : formatReceipt(found);
      },
    }),
    defineMethod({
      name: 'squad_getSkippedTransaction',
      summary: 'Why a transaction that was ordered was not executed',
      params: { transactionHash: Word },
      result: { name: 'skipped', description: 'Code, reason and sequencer height; null if it is not known' },
      handler: ({ transactionHash }) => {
        const found = skipped.get(transactionHash);
        if (found === undefined || history.transaction(transactionHash) !== undefined) return null;
        return formatSkipped(found);
      },
    }),
  ];
}

function isFinal({ block }: FoundTransaction): boolean {
  return block.stage === 'final';
}

function transactionAt(block: StagedBlock | undefined, index: number): JsonObject | null {
  const transaction = block?.transactions[index];
  return transaction === undefined ? null : formatTransaction({ block: block!, index, transaction });
}

function rawAt(block: StagedBlock | undefined, index: number): string | null {
  const transaction = block?.transactions[index];
  return transaction === undefined ? null : hexOf(transaction.raw);
}

function logMethod(state: RpcState): RpcMethod {
  return defineMethod({
    name: 'eth_getLogs',
    summary: `Logs of at most ${MAX_LOG_RANGE_BLOCKS} blocks, at most ${MAX_LOG_RESULTS}`,
    params: { filter: LogQuery },
    result: { name: 'logs', description: 'In order of blocks, transactions and logs' },
    handler: ({ filter }) => findLogs(state, filter),
  });
}

export async function findLogs(state: RpcState, query: LogQuery): Promise<JsonObject[]> {
  const [from, to] = rangeOf(state, query.from, query.to);
  const found = await state.history.logs(from, to, query, MAX_LOG_RESULTS);
  if (found.length > MAX_LOG_RESULTS) {
    throw refused(
      `query returned more than ${MAX_LOG_RESULTS} results`,
      'TOO_MANY_LOGS',
      'Ask for fewer blocks at once.',
      {
        maxResults: MAX_LOG_RESULTS,
      },
    );
  }
  return found.map(formatLog);
}

function rangeOf(state: RpcState, from: BlockReference, to: BlockReference): [number, number] {
  const first = state.numberOf(from);
  const last = state.numberOf(to);
  if (first === undefined || last === undefined) throw unknownBlock('unknown block');
  if (first > last) {
    throw refused('invalid block range params', 'INVALID_RANGE', 'fromBlock must not be after toBlock.', {
      first,
      last,
    });
  }
  if (last - first >= MAX_LOG_RANGE_BLOCKS) {
    throw refused(
      `the range of ${last - first + 1} blocks exceeds the limit of ${MAX_LOG_RANGE_BLOCKS}`,
      'RANGE_TOO_LARGE',
      `Ask for at most ${MAX_LOG_RANGE_BLOCKS} blocks at once.`,
      { maxBlocks: MAX_LOG_RANGE_BLOCKS },
    );
  }
  const end = 'tag' in to || 'hash' in to ? last : Math.min(last, state.history.latestNumber);
  return [first, end];
}
