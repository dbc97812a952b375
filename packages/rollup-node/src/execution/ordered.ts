/**
 * A rollup that is ordered and derived here, and executed elsewhere: of each block the transactions, in their order, and
 * nothing that follows from executing them. A transaction is left out only for what no executing node could read or place;
 * nonces, balances and fees are theirs to judge.
 */

import type { Common } from '@ethereumjs/common';
import { bigIntMin } from '@ethereumjs/util';
import { type Bytes32, ZERO_HASH } from '@squad/types';
import type { RollupFile } from '../config/rollup-file.ts';
import type { BlockEnvironment, BlockSummary, Cursor, ExecutionOutcome, Executor } from './api.ts';
import { createSharedCommon } from './evm/common.ts';
import { decodeTransaction } from './evm/transaction.ts';
import { keccak256 } from './keccak.ts';
import { Mutex } from './mutex.ts';
import { SealedBlocks } from './sealed-blocks.ts';
import { numberKey, type StoreEntry } from './store.ts';

export interface OrderedBlock {
  readonly summary: BlockSummary;
  /** What is stored of it, in the stack's own form. */
  readonly body: Uint8Array;
}

interface Open {
  readonly environment: BlockEnvironment;
  readonly transactions: Uint8Array[];
  bytes: number;
  /** Sum of gas limits. */
  gas: bigint;
}

export abstract class OrderedExecutor implements Executor {
  abstract readonly kind: Executor['kind'];
  readonly file: RollupFile;
  readonly common: Common;
  readonly #blocks: SealedBlocks<OrderedBlock>;
  readonly #mutex = new Mutex();
  #open: Open | undefined;

  protected constructor(file: RollupFile, blocks: SealedBlocks<OrderedBlock>) {
    this.file = file;
    this.common = createSharedCommon(file.rollupId, file.hardfork);
    this.#blocks = blocks;
  }

  protected static openBlocks(file: RollupFile, directory: string): Promise<SealedBlocks<OrderedBlock>> {
    const bodyOf = ({ summary, body }: OrderedBlock): StoreEntry[] => [['body', numberKey(summary.number), body]];
    return SealedBlocks.open(file, directory, bodyOf);
  }

  /** Whether the executing nodes would not take a block with so much in it. */
  protected abstract isTooLarge(transactionCount: number, bytes: number): boolean;
  protected abstract encodeBody(transactions: readonly Uint8Array[], environment: BlockEnvironment): Uint8Array;
  /** Of this node's own making: the executing nodes' hash follows from executing. Stands for the block and all before it. */
  protected abstract hashOf(summary: Omit<BlockSummary, 'hash'>, body: Uint8Array): Bytes32;
  /** What the gas limits of a block's transactions may come to. */
  protected get blockGas(): bigint {
    return BigInt(this.file.gasLimit);
  }

  /** What a transaction takes of a block's bytes. */
  protected sizeOf(raw: Uint8Array): number {
    return raw.length;
  }

  /** Whether the open block is one though nothing was ordered in it. */
  protected get isNeeded(): boolean {
    return false;
  }

  /** The block's time, in seconds since 1970. */
  protected timeOf({ timestampSeconds }: BlockEnvironment): number {
    return timestampSeconds;
  }

  get latest(): BlockSummary {
    return this.#blocks.latest;
  }

  get head(): BlockSummary {
    return this.#blocks.head;
  }

  get cursor(): Cursor | undefined {
    return this.#blocks.cursor;
  }

  /** A sealed block, provisional or durable. Undefined above `head`, and for 0, which has no body. */
  protected sealedAt(number: number): OrderedBlock | undefined {
    const { latest, provisional, store } = this.#blocks;
    if (number > latest.number) return provisional[number - latest.number - 1];
    const summary = this.#blocks.summaryAt(number);
    const body = store.get('body', numberKey(number));
    return summary && body && { summary, body };
  }

  protected get genesis(): BlockSummary {
    return this.#blocks.genesis;
  }

  /** Why the transaction would be left out, if it would; else it is part of a block, whatever becomes of it there. */
  refusal(raw: Uint8Array): (ExecutionOutcome & { readonly status: 'skipped' }) | undefined {
    const outcome = this.#read(raw);
    return 'reason' in outcome ? outcome : undefined;
  }

  begin(environment: BlockEnvironment): Promise<void> {
    return this.#mutex.run(() => this.open(environment));
  }

  protected async open(environment: BlockEnvironment): Promise<void> {
    this.openWith(environment, 0n);
  }

  /** `gas`: what is taken already. */
  protected openWith(environment: BlockEnvironment, gas: bigint): void {
    this.#open = { environment, transactions: [], bytes: 0, gas };
  }

  execute(given: Uint8Array): Promise<ExecutionOutcome> {
    return this.#mutex.run(async () => {
      const open = this.#open;
      if (open === undefined) throw new Error('execute was called without an open block');
      const outcome = this.#read(given);
      if ('reason' in outcome) return outcome;
      const count = open.transactions.length;
      const bytes = open.bytes + this.sizeOf(given);
      const gas = open.gas + outcome.gasLimit;
      const isFull = gas > this.blockGas || this.isTooLarge(count + 1, bytes);
      if (isFull && (count > 0 || this.isNeeded)) return { status: 'full' };
      // A copy: what is kept must not hold on to the body that it came in.
      open.transactions.push(given.slice());
      open.bytes = bytes;
      open.gas = gas;
      return { status: 'executed', hash: keccak256(given) };
    });
  }

  seal(): Promise<BlockSummary | undefined> {
    return this.#mutex.run(async () => this.sealOpen());
  }

  protected sealOpen(): BlockSummary | undefined {
    const open = this.#open;
    if (open === undefined) throw new Error('seal was called without an open block');
    this.#open = undefined;
    if (open.transactions.length === 0 && !this.isNeeded) return undefined;
    const { environment, transactions } = open;
    const body = this.encodeBody(transactions, environment);
    const unhashed = {
      number: this.head.number + 1,
      parentHash: this.head.hash,
      stateRoot: ZERO_HASH,
      slot: environment.slot,
      timestampSeconds: this.timeOf(environment),
      transactionCount: transactions.length,
    };
    const summary: BlockSummary = { ...unhashed, hash: this.hashOf(unhashed, body) };
    this.#blocks.push({ summary, body });
    return summary;
  }

  rollback(number: number): Promise<void> {
    return this.#mutex.run(async () => {
      this.#open = undefined;
      this.#blocks.rollback(number);
    });
  }

  commit(number: number, cursor: Cursor): Promise<void> {
    return this.#mutex.run(() => this.#blocks.commit(number, cursor));
  }

  close(): Promise<void> {
    return this.#mutex.run(() => this.#blocks.store.close());
  }

  #read(raw: Uint8Array): { readonly gasLimit: bigint } | (ExecutionOutcome & { readonly status: 'skipped' }) {
    const decoded = decodeTransaction(raw, this.common);
    if ('reason' in decoded) return decoded;
    const { gasLimit } = decoded.transaction;
    const most = bigIntMin(this.blockGas, BigInt(this.file.maxTransactionGas));
    const fault =
      gasLimit > most
        ? `the gas limit ${gasLimit} is above the most that a transaction may use, ${most}`
        : this.isTooLarge(1, this.sizeOf(raw))
          ? `${raw.length} bytes do not fit a block`
          : undefined;
    return fault === undefined ? { gasLimit } : { status: 'skipped', code: 'GAS_LIMIT', reason: fault };
  }
}
