/** Blocks, transactions and logs of an EVM rollup, durable or not, for whoever asks. Everything here only reads. */

import type { BlockHeader } from '@ethereumjs/block';
import { RLP } from '@ethereumjs/rlp';
import { bytesToInt } from '@ethereumjs/util';
import { breatheNow } from '../breathe.ts';
import { keyOf } from '../keccak.ts';
import { numberKey } from '../store.ts';
import {
  decodeHeaderRecord,
  decodeTransactions,
  type EvmBlock,
  type EvmLog,
  type EvmTransaction,
  summaryOf,
} from './block.ts';
import type { EvmExecutor } from './executor.ts';
import { type LogFilter, LogMatcher } from './log-matcher.ts';

/** Durable blocks that are kept decoded. */
export const MAX_DECODED_BLOCKS = 64;
/** Most blocks that one search for logs may cover. */
export const MAX_LOG_RANGE_BLOCKS = 10_000;
/** Most logs in one answer. */
export const MAX_LOG_RESULTS = 10_000;

/** `open`: under way, without its final hash. `soft`: sealed, may still be replaced. `final`: durable. */
export type BlockStage = 'open' | 'soft' | 'final';

export interface StagedBlock extends EvmBlock {
  readonly stage: BlockStage;
}

export interface FoundTransaction {
  readonly block: StagedBlock;
  readonly index: number;
  readonly transaction: EvmTransaction;
}

export interface FoundLog {
  readonly block: StagedBlock;
  readonly transaction: EvmTransaction;
  readonly transactionIndex: number;
  /** Position among all logs of the block. */
  readonly logIndex: number;
  readonly log: EvmLog;
}

export class EvmHistory {
  readonly #executor: EvmExecutor;
  readonly #decoded = new Map<number, StagedBlock>();

  constructor(executor: EvmExecutor) {
    this.#executor = executor;
  }

  get latestNumber(): number {
    return this.#executor.latest.number;
  }

  /** Number of the block that `pending` means: the open one, else the newest soft one, else `latest`. */
  get pendingNumber(): number {
    return this.#executor.head.number + (this.#executor.openBlock === undefined ? 0 : 1);
  }

  blockAt(number: number): StagedBlock | undefined {
    const executor = this.#executor;
    if (number > executor.head.number) return number === this.pendingNumber ? this.#openBlock() : undefined;
    if (number > executor.latest.number) {
      const provisional = executor.provisional[number - executor.latest.number - 1];
      return provisional && { ...provisional.block, stage: 'soft' };
    }
    return this.#stored(number);
  }

  blockByHash(hash: Uint8Array): StagedBlock | undefined {
    const executor = this.#executor;
    const same = (other: Uint8Array) => Buffer.compare(other, hash) === 0;
    if (executor.openBlock !== undefined && same(executor.openBlock.provisionalHash)) return this.#openBlock();
    const provisional = executor.provisional.find(({ block }) => same(block.summary.hash));
    if (provisional !== undefined) return { ...provisional.block, stage: 'soft' };
    const number = executor.store.get('numberByHash', hash);
    return number && this.#stored(numberOf(number));
  }

  transaction(hash: Uint8Array): FoundTransaction | undefined {
    const pending = this.#executor.pendingTransactions.get(keyOf(hash));
    const stored = pending === undefined ? this.#executor.store.get('transaction', hash) : undefined;
    const place =
      pending ?? (stored && { number: numberOf(stored.subarray(0, 8)), index: numberOf(stored.subarray(8, 16)) });
    const block = place && this.blockAt(place.number);
    const transaction = block?.transactions[place!.index];
    return transaction && { block: block!, index: place!.index, transaction };
  }

  /**
   * Matching logs of the blocks `from` to `to`, both inclusive, in order; at most `limit`, and one more shows that there
   * were more. Blocks are chosen by the bloom in their header, so a long range without matches is quick.
   */
  async logs(from: number, to: number, filter: LogFilter, limit: number): Promise<FoundLog[]> {
    const found: FoundLog[] = [];
    const matcher = new LogMatcher(filter);
    for (let number = from; number <= to && found.length <= limit; number++) {
      await breatheNow();
      if (!this.#mayMatch(number, matcher)) continue;
      const block = this.blockAt(number);
      if (block !== undefined) for (const log of logsOf(block)) if (matcher.matches(log.log)) found.push(log);
    }
    return found.slice(0, limit + 1);
  }

  #mayMatch(number: number, matcher: LogMatcher): boolean {
    if (number > this.#executor.latest.number) return true;
    const record = this.#executor.store.get('header', numberKey(number));
    if (record === undefined) return false;
    return matcher.mayMatch((RLP.decode(record) as [Uint8Array[]])[0][LOGS_BLOOM_FIELD]!);
  }

  #openBlock(): StagedBlock | undefined {
    const open = this.#executor.openBlock;
    if (open === undefined) return undefined;
    const header: BlockHeader = open.block.header;
    const summary = summaryOf(header, open.environment.slot, open.transactions.length);
    return {
      stage: 'open',
      header,
      summary: { ...summary, hash: open.provisionalHash },
      transactions: open.transactions,
      requests: [],
    };
  }

  #stored(number: number): StagedBlock | undefined {
    const recent = this.#executor.recentBlocks.get(number);
    if (recent !== undefined) return { ...recent, stage: 'final' };
    const known = this.#decoded.get(number);
    if (known !== undefined) return known;
    const { store, common } = this.#executor;
    const key = numberKey(number);
    const record = number < 0 ? undefined : store.get('header', key);
    if (record === undefined) return undefined;
    const { header, summary, requests } = decodeHeaderRecord(record, common);
    const transactions = decodeTransactions(store.get('body', key)!, store.get('receipts', key)!, common);
    const block: StagedBlock = { header, summary, transactions, requests, stage: 'final' };
    for (const oldest of this.#decoded.keys()) {
      if (this.#decoded.size < MAX_DECODED_BLOCKS) break;
      this.#decoded.delete(oldest);
    }
    this.#decoded.set(number, block);
    return block;
  }
}

const LOGS_BLOOM_FIELD = 6;

export function logsOf(block: StagedBlock): FoundLog[] {
  let logIndex = 0;
  return block.transactions.flatMap((transaction, transactionIndex) =>
    transaction.receipt.logs.map((log) => ({ block, transaction, transactionIndex, logIndex: logIndex++, log })),
  );
}

function numberOf(key: Uint8Array): number {
  return bytesToInt(key);
}
