/**
 * Executes an EVM rollup: opens, fills and seals blocks on an in-memory state, and makes them durable when told to. All
 * methods that read or change the working state run one after another.
 */

import { Block, type BlockHeader } from '@ethereumjs/block';
import type { Common } from '@ethereumjs/common';
import { runTx } from '@ethereumjs/vm';
import { type Bytes32, concatBytes, SquadError, toHex, ZERO_HASH } from '@squad/types';
import { type RollupFile, rollupFileHash, transactionGasCap } from '../../config/rollup-file.ts';
import type { BlockEnvironment, BlockSummary, Cursor, ExecutionOutcome, Executor } from '../api.ts';
import { keccak256, keyOf } from '../keccak.ts';
import { Mutex } from '../mutex.ts';
import { numberKey, RollupStore, type StoreEntry } from '../store.ts';
import {
  decodeHeaderRecord,
  type EvmBlock,
  type EvmReceipt,
  type EvmTransaction,
  encodeConsensusReceipt,
  joinBlooms,
  makeHeader,
  NO_LOGS_BLOOM,
  nextLogIndex,
  summaryOf,
} from './block.ts';
import { createSharedCommon } from './common.ts';
import { headerFields } from './genesis.ts';
import { KnownSenders } from './known-senders.ts';
import { PlainTransaction } from './plain-transaction.ts';
import { blockEntries, decodeHead, encodeHead, HEAD, stateEntries, storeGenesis } from './records.ts';
import { EvmState, type StateChanges, type StateRoot, type StateSource, stateRootFromHash } from './state.ts';
import { callAtBlockStart, requestsHash, takeRequests } from './system-calls.ts';
import {
  decodeTransaction,
  effectiveGasPrice,
  firstSentence,
  libraryTransaction,
  maxGasPrice,
  type SignedTransaction,
} from './transaction.ts';
import { executeTransfer, type GasTerms, hasCalldataFloor } from './transfer.ts';
import { indexedRoot } from './trie.ts';
import { createRollupVm, type RollupVm } from './vm.ts';

/** Sealed blocks whose transactions and trie nodes are in memory, waiting to become durable. */
export interface ProvisionalBlock {
  readonly block: EvmBlock;
  readonly changes: StateChanges;
}

/** The block under way. */
export interface OpenBlock {
  readonly environment: BlockEnvironment;
  readonly block: Block;
  /** Names the block until it is sealed and has its hash. */
  readonly provisionalHash: Bytes32;
  readonly terms: GasTerms;
  readonly transactions: EvmTransaction[];
  gasUsed: bigint;
  /** Of its encoding; more than the block will have. */
  bytes: number;
}

type RawTransaction = Omit<EvmTransaction, 'receipt'>;
type Effects = Pick<EvmReceipt, 'status' | 'gasUsed' | 'logs' | 'bloom' | 'contractAddress'>;

const TRANSFER_EFFECTS: Omit<Effects, 'gasUsed'> = {
  status: 1,
  logs: [],
  bloom: NO_LOGS_BLOOM,
  contractAddress: undefined,
};

/** Durable blocks kept in memory with their transactions. */
export const MAX_RECENT_BLOCKS = 16;
/** Bytes of a block's encoding in a rollup with `ethereumBlocks` (EIP-7934: 10 MiB less 2 MiB for the consensus layer's). */
export const MAX_ETHEREUM_BLOCK_BYTES: number = 8 * 1024 * 1024;
/** Bytes of a block's encoding without transactions, and of a transaction's beside itself, at most. */
const HEADER_BYTES = 1024;
const TRANSACTION_PREFIX_BYTES = 5;
/** Block hashes kept in memory; the BLOCKHASH instruction can see 256. */
const MAX_RECENT_HASHES = 1024;

export class EvmExecutor implements Executor {
  readonly kind = 'evm';
  readonly file: RollupFile;
  readonly common: Common;
  readonly store: RollupStore;
  /** Where states of any durable or provisional block are read from. */
  readonly source: StateSource;
  readonly mutex: Mutex = new Mutex();
  /** Where to find the transactions that are executed and not durable, by hash. */
  readonly pendingTransactions = new Map<string, { readonly number: number; readonly index: number }>();
  /** Whoever has recovered the sender of a transaction that is to be executed leaves it here. */
  readonly knownSenders = new KnownSenders();
  /** The newest durable blocks, decoded: the ones most often asked for. */
  readonly recentBlocks = new Map<number, EvmBlock>();
  readonly #state: EvmState;
  readonly #rollupVm: RollupVm;
  readonly #provisional: ProvisionalBlock[] = [];
  readonly #overlay: Map<string, Uint8Array>;
  #latest: BlockSummary;
  #latestHeader: BlockHeader;
  #latestState: StateRoot;
  readonly #recentHashes = new Map<number, Bytes32>();
  #cursor: Cursor | undefined;
  #open: OpenBlock | undefined;

  private constructor(parts: {
    file: RollupFile;
    common: Common;
    store: RollupStore;
    source: StateSource;
    overlay: Map<string, Uint8Array>;
    state: EvmState;
    rollupVm: RollupVm;
    head: { header: BlockHeader; summary: BlockSummary };
    cursor: Cursor | undefined;
  }) {
    this.file = parts.file;
    this.common = parts.common;
    this.store = parts.store;
    this.source = parts.source;
    this.#overlay = parts.overlay;
    this.#state = parts.state;
    this.#rollupVm = parts.rollupVm;
    this.#latest = parts.head.summary;
    this.#latestHeader = parts.head.header;
    this.#latestState = parts.state.root;
    this.#cursor = parts.cursor;
  }

  /** Opens or creates the rollup in a directory. Throws SquadError `ROLLUP_STORE_…` if that cannot be. */
  static async open(file: RollupFile, directory: string): Promise<EvmExecutor> {
    const common = createSharedCommon(file.rollupId, file.hardfork);
    const store = await RollupStore.open(directory, rollupFileHash(file));
    const overlay = new Map<string, Uint8Array>();
    const source: StateSource = {
      nodesInMemory: 0,
      node: (hash) => overlay.get(keyOf(hash)) ?? store.get('node', hash),
      code: (hash) => overlay.get(keyOf(hash)) ?? store.get('code', hash),
    };
    if (store.get('meta', HEAD) === undefined) await storeGenesis(file, common, store, source);
    const stored = decodeHead(store.get('meta', HEAD)!);
    const head = decodeHeaderRecord(store.get('header', numberKey(stored.number))!, common);
    const state = new EvmState(source, stateRootFromHash(head.summary.stateRoot));
    const chain: { executor?: EvmExecutor } = {};
    const hashAt = (number: number) => chain.executor!.hashAt(number);
    const rollupVm = await createRollupVm(common, state, hashAt);
    const executor = new EvmExecutor({
      file,
      common,
      store,
      source,
      overlay,
      state,
      rollupVm,
      head,
      cursor: stored.cursor,
    });
    chain.executor = executor;
    return executor;
  }

  get latest(): BlockSummary {
    return this.#latest;
  }

  get latestState(): StateRoot {
    return this.#latestState;
  }

  get head(): BlockSummary {
    return this.#provisional.at(-1)?.block.summary ?? this.#latest;
  }

  get headHeader(): BlockHeader {
    return this.#provisional.at(-1)?.block.header ?? this.#latestHeader;
  }

  get cursor(): Cursor | undefined {
    return this.#cursor;
  }

  get provisional(): readonly ProvisionalBlock[] {
    return this.#provisional;
  }

  get openBlock(): OpenBlock | undefined {
    return this.#open;
  }

  get #headState(): StateRoot {
    return this.#provisional.at(-1)?.changes.root ?? this.#latestState;
  }

  /** The working state. Use it inside `mutex.run` only, and leave it as it was. */
  get state(): EvmState {
    return this.#state;
  }

  begin(environment: BlockEnvironment): Promise<void> {
    return this.mutex.run(async () => {
      const { ethereumBlocks } = this.file;
      const earliest = ethereumBlocks ? this.head.timestampSeconds + 1 : 0;
      const header = makeHeader(this.common, {
        ...headerFields(this.file),
        parentHash: this.head.hash,
        number: this.head.number + 1,
        timestamp: Math.max(environment.timestampSeconds, earliest),
        mixHash: environment.randomness,
        baseFeePerGas: this.headHeader.calcNextBaseFee(),
      });
      const provisionalHash = keccak256(
        concatBytes(this.head.hash, numberKey(environment.slot), environment.randomness),
      );
      const block = new Block(header, [], [], [], { common: this.common, skipConsensusFormatValidation: true });
      const terms: GasTerms = {
        coinbase: header.coinbase.bytes,
        baseFeePerGas: header.baseFeePerGas ?? 0n,
        hasCalldataFloor: hasCalldataFloor(this.common),
      };
      if (ethereumBlocks) await callAtBlockStart(this.#rollupVm, block);
      this.#open = { environment, block, provisionalHash, terms, transactions: [], gasUsed: 0n, bytes: HEADER_BYTES };
    });
  }

  execute(raw: Uint8Array): Promise<ExecutionOutcome> {
    return this.mutex.run(() => this.#execute(raw));
  }

  seal(): Promise<BlockSummary | undefined> {
    return this.mutex.run(async () => {
      const open = this.#takeOpen();
      const { ethereumBlocks } = this.file;
      if (open.transactions.length === 0) {
        if (ethereumBlocks) this.#state.reset(this.#headState);
        return undefined;
      }
      const requests = ethereumBlocks ? await takeRequests(this.#rollupVm, open.block) : [];
      const changes = this.#state.flush();
      const { transactions } = open;
      const receipts = transactions.map((each) => encodeConsensusReceipt(each.decoded.type, each.receipt));
      const header = makeHeader(this.common, {
        ...open.block.header,
        stateRoot: changes.root.hash,
        transactionsTrie: indexedRoot(transactions.map(({ raw }) => raw)),
        receiptTrie: indexedRoot(receipts),
        logsBloom: joinBlooms(transactions.map(({ receipt }) => receipt.bloom)),
        gasUsed: open.gasUsed,
        ...(ethereumBlocks ? { requestsHash: requestsHash(requests) } : {}),
      });
      const summary = summaryOf(header, open.environment.slot, transactions.length);
      this.#provisional.push({ block: { header, summary, transactions, requests }, changes });
      this.#extendOverlay(changes);
      return summary;
    });
  }

  rollback(number: number): Promise<void> {
    return this.mutex.run(async () => {
      this.#open = undefined;
      this.#provisional.length = this.#provisional.findLastIndex(({ block }) => block.summary.number <= number) + 1;
      for (const [key, place] of this.pendingTransactions) {
        if (place.number > this.head.number) this.pendingTransactions.delete(key);
      }
      this.#overlay.clear();
      for (const { changes } of this.#provisional) this.#extendOverlay(changes);
      this.#state.reset(this.#headState);
    });
  }

  commit(number: number, cursor: Cursor): Promise<void> {
    return this.mutex.run(async () => {
      const count = this.#provisional.findLastIndex(({ block }) => block.summary.number <= number) + 1;
      const blocks = this.#provisional.slice(0, count);
      const entries: StoreEntry[] = [];
      for (const { block, changes } of blocks) {
        entries.push(...stateEntries(changes), ...blockEntries(block));
      }
      const last = blocks.at(-1);
      entries.push(['meta', HEAD, encodeHead(last?.block.summary.number ?? this.#latest.number, cursor)]);
      await this.store.commit(entries);
      this.#cursor = cursor;
      if (last === undefined) return;
      this.#latest = last.block.summary;
      this.#latestHeader = last.block.header;
      this.#latestState = last.changes.root;
      this.#provisional.splice(0, count);
      for (const { block } of blocks) this.#remember(block);
      this.#overlay.clear();
      for (const { changes } of this.#provisional) this.#extendOverlay(changes);
    });
  }

  close(): Promise<void> {
    return this.mutex.run(async () => {
      this.#open = undefined;
      await this.store.close();
    });
  }

  async #execute(given: Uint8Array): Promise<ExecutionOutcome> {
    const open = this.#open;
    if (open === undefined) throw new Error('execute was called without an open block');
    const hash = keccak256(given);
    // A copy: what is kept must not hold on to the body that it came in.
    const raw = given.slice();
    const decoded = decodeTransaction(raw, this.common, this.knownSenders.take(hash));
    if ('reason' in decoded) return decoded;
    const { transaction, from } = decoded;
    const cap = transactionGasCap(this.file);
    if (transaction.gasLimit > cap) {
      const reason = `the gas limit ${transaction.gasLimit} is above the most that a transaction may use, ${cap}`;
      return { status: 'skipped', code: 'GAS_LIMIT', reason };
    }
    const bytes = open.bytes + raw.length + TRANSACTION_PREFIX_BYTES;
    const isTooLarge = this.file.ethereumBlocks && bytes > MAX_ETHEREUM_BLOCK_BYTES;
    if (isTooLarge || open.gasUsed + transaction.gasLimit > open.block.header.gasLimit) {
      this.knownSenders.add(hash, from);
      return { status: 'full' };
    }
    const invalid = this.#invalidity(transaction, from);
    if (invalid !== undefined) return { status: 'skipped', code: 'INVALID', reason: invalid };
    const sent: RawTransaction = { hash, raw, from, decoded: transaction };
    if (transaction instanceof PlainTransaction) {
      const gasUsed = executeTransfer(this.#state, transaction, from, open.terms);
      if (gasUsed !== undefined) return this.#record(open, sent, { ...TRANSFER_EFFECTS, gasUsed });
    }
    try {
      return this.#record(open, sent, await this.#runInEvm(open, sent));
    } catch (error) {
      if (error instanceof SquadError) throw error;
      // What is thrown from within a call leaves checkpoints of the library open.
      await this.#state.revertAll();
      this.#rollupVm.clearTransientStorage();
      return { status: 'skipped', code: 'INVALID', reason: firstSentence(error) };
    }
  }

  async #runInEvm(open: OpenBlock, { raw, from }: RawTransaction): Promise<Effects> {
    const { totalGasSpent, execResult, bloom, createdAddress } = await runTx(this.#rollupVm.vm, {
      tx: libraryTransaction(raw, this.common, from),
      block: open.block,
      blockGasUsed: open.gasUsed,
      skipHardForkValidation: true,
      skipBlockGasLimitValidation: true,
    });
    return {
      status: execResult.exceptionError === undefined ? 1 : 0,
      gasUsed: totalGasSpent,
      logs: (execResult.logs ?? []).map(([address, topics, data]) => ({ address, topics, data })),
      bloom: bloom.bitvector,
      contractAddress: createdAddress?.bytes,
    };
  }

  #record(open: OpenBlock, sent: RawTransaction, effects: Effects): ExecutionOutcome {
    const { hash, decoded } = sent;
    open.gasUsed += effects.gasUsed;
    open.bytes += sent.raw.length + TRANSACTION_PREFIX_BYTES;
    const receipt: EvmReceipt = {
      ...effects,
      cumulativeGasUsed: open.gasUsed,
      effectiveGasPrice: effectiveGasPrice(decoded, open.terms.baseFeePerGas),
      firstLogIndex: nextLogIndex(open.transactions.at(-1)?.receipt),
    };
    this.pendingTransactions.set(keyOf(hash), { number: this.head.number + 1, index: open.transactions.length });
    open.transactions.push({ ...sent, receipt });
    return { status: 'executed', hash };
  }

  /**
   * Why the sender cannot send this now: no money, or another nonce. `runTx` refuses the same, after a checkpoint and with an
   * error that describes the whole block; anybody may have such transactions ordered for nothing, so they must be cheap.
   */
  #invalidity(transaction: SignedTransaction, from: Uint8Array): string | undefined {
    const { nonce, balance } = this.#state.peek(from) ?? { nonce: 0n, balance: 0n };
    const cost = transaction.gasLimit * maxGasPrice(transaction) + transaction.value;
    if (balance < cost) {
      return `sender doesn't have enough funds to send tx. The max cost is: ${cost} and the sender's account (${toHex(from)}) only has: ${balance}`;
    }
    if (nonce === transaction.nonce) return undefined;
    return `the tx doesn't have the correct nonce. account has nonce of: ${nonce} tx has nonce of: ${transaction.nonce}`;
  }

  /** Hash of a sealed block; zero if there is none. Quick for recent ones: the BLOCKHASH instruction costs 20 gas only. */
  hashAt(number: number): Bytes32 {
    if (number > this.#latest.number) {
      return this.#provisional[number - this.#latest.number - 1]?.block.summary.hash ?? ZERO_HASH;
    }
    const known = this.#recentHashes.get(number);
    if (known !== undefined) return known;
    const record = this.store.get('header', numberKey(number));
    if (record === undefined) return ZERO_HASH;
    const { hash } = decodeHeaderRecord(record, this.common).summary;
    if (this.#recentHashes.size >= MAX_RECENT_HASHES) this.#recentHashes.clear();
    this.#recentHashes.set(number, hash);
    return hash;
  }

  #remember(block: EvmBlock): void {
    for (const { hash } of block.transactions) this.pendingTransactions.delete(keyOf(hash));
    this.recentBlocks.set(block.summary.number, block);
    this.recentBlocks.delete(block.summary.number - MAX_RECENT_BLOCKS);
  }

  #takeOpen(): OpenBlock {
    const open = this.#open;
    if (open === undefined) throw new Error('seal was called without an open block');
    this.#open = undefined;
    return open;
  }

  #extendOverlay(changes: StateChanges): void {
    for (const [key, node] of changes.nodes) this.#overlay.set(key, node);
    for (const [key, code] of changes.codes) this.#overlay.set(key, code);
  }
}
