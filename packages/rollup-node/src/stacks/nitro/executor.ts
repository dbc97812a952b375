/**
 * The rollup whose execution is Arbitrum Nitro's: derivation as for any rollup, and of each block the feed message, nothing
 * more. A transaction is left out only for what no Nitro node could read or place: one that cannot be parsed makes Nitro
 * drop its whole block (`parseL2Message`). Nonces, balances and fees are Nitro's to judge; it skips what is not valid.
 *
 * A block ends where Nitro's own limits would cut it: at the gas limit of the rollup file, counted in gas limits, and at
 * `MAX_L2_MESSAGE_BYTES`.
 */

import type { Common } from '@ethereumjs/common';
import { type Bytes32, concatBytes, ZERO_HASH } from '@squad/types';
import { type RollupFile, rollupFileHash, transactionGasCap } from '../../config/rollup-file.ts';
import type { BlockEnvironment, BlockSummary, Cursor, ExecutionOutcome, Executor } from '../../execution/api.ts';
import { createSharedCommon } from '../../execution/evm/common.ts';
import { decodeTransaction } from '../../execution/evm/transaction.ts';
import { keccak256 } from '../../execution/keccak.ts';
import { Mutex } from '../../execution/mutex.ts';
import { numberKey, RollupStore, type StoreEntry } from '../../execution/store.ts';
import { decodeHead, decodeSummary, encodeHead, encodeSummary, genesisSummary } from '../../execution/summary.ts';
import { MAX_L2_MESSAGE_BYTES } from './limits.ts';
import { encodeL2Message, l2MessageBytes, type NitroMessage, signatureHash } from './message.ts';

const HEAD = new TextEncoder().encode('head');

interface Sealed {
  readonly summary: BlockSummary;
  readonly l2Message: Uint8Array;
}

interface Open {
  readonly environment: BlockEnvironment;
  readonly transactions: Uint8Array[];
  bytes: number;
  gas: bigint;
}

export class NitroExecutor implements Executor {
  readonly kind = 'nitro';
  readonly file: RollupFile;
  readonly common: Common;
  readonly #store: RollupStore;
  readonly #mutex = new Mutex();
  readonly #provisional: Sealed[] = [];
  #latest: BlockSummary;
  #cursor: Cursor | undefined;
  #open: Open | undefined;

  private constructor(file: RollupFile, store: RollupStore, latest: BlockSummary, cursor: Cursor | undefined) {
    this.file = file;
    this.common = createSharedCommon(file.rollupId, file.hardfork);
    this.#store = store;
    this.#latest = latest;
    this.#cursor = cursor;
  }

  static async open(file: RollupFile, directory: string): Promise<NitroExecutor> {
    const identity = rollupFileHash(file);
    const store = await RollupStore.open(directory, identity);
    const stored = store.get('meta', HEAD);
    const head =
      stored === undefined ? { latest: genesisSummary(file, identity), cursor: undefined } : decodeHead(stored);
    return new NitroExecutor(file, store, head.latest, head.cursor);
  }

  get latest(): BlockSummary {
    return this.#latest;
  }

  get head(): BlockSummary {
    return this.#provisional.at(-1)?.summary ?? this.#latest;
  }

  get cursor(): Cursor | undefined {
    return this.#cursor;
  }

  /** The message of a durable block: its order is final. Undefined above `latest`, and for 0, which has none. */
  messageAt(number: number): NitroMessage | undefined {
    const key = numberKey(number);
    const header = this.#store.get('header', key);
    const l2Message = this.#store.get('body', key);
    if (header === undefined || l2Message === undefined) return undefined;
    const { timestampSeconds } = decodeSummary(header);
    return { sequenceNumber: number, timestampSeconds, l2Message };
  }

  /** Why the transaction would be left out, if it would; else it is part of a block, whatever Nitro makes of it. */
  refusal(raw: Uint8Array): (ExecutionOutcome & { readonly status: 'skipped' }) | undefined {
    const outcome = this.#read(raw);
    return 'reason' in outcome ? outcome : undefined;
  }

  begin(environment: BlockEnvironment): Promise<void> {
    return this.#mutex.run(async () => {
      this.#open = { environment, transactions: [], bytes: 0, gas: 0n };
    });
  }

  execute(given: Uint8Array): Promise<ExecutionOutcome> {
    return this.#mutex.run(async () => {
      const open = this.#open;
      if (open === undefined) throw new Error('execute was called without an open block');
      const outcome = this.#read(given);
      if ('reason' in outcome) return outcome;
      const bytes = open.bytes + given.length;
      const gas = open.gas + outcome.gasLimit;
      const isFull =
        gas > BigInt(this.file.gasLimit) || l2MessageBytes(open.transactions.length + 1, bytes) > MAX_L2_MESSAGE_BYTES;
      if (isFull && open.transactions.length > 0) return { status: 'full' };
      // A copy: what is kept must not hold on to the body that it came in.
      open.transactions.push(given.slice());
      open.bytes = bytes;
      open.gas = gas;
      return { status: 'executed', hash: keccak256(given) };
    });
  }

  seal(): Promise<BlockSummary | undefined> {
    return this.#mutex.run(async () => {
      const open = this.#open;
      if (open === undefined) throw new Error('seal was called without an open block');
      this.#open = undefined;
      if (open.transactions.length === 0) return undefined;
      const { slot, timestampSeconds } = open.environment;
      const number = this.head.number + 1;
      const l2Message = encodeL2Message(open.transactions);
      const summary: BlockSummary = {
        number,
        hash: this.#hashOf({ sequenceNumber: number, timestampSeconds, l2Message }),
        parentHash: this.head.hash,
        stateRoot: ZERO_HASH,
        slot,
        timestampSeconds,
        transactionCount: open.transactions.length,
      };
      this.#provisional.push({ summary, l2Message });
      return summary;
    });
  }

  rollback(number: number): Promise<void> {
    return this.#mutex.run(async () => {
      this.#open = undefined;
      this.#provisional.length = this.#provisional.findLastIndex(({ summary }) => summary.number <= number) + 1;
    });
  }

  commit(number: number, cursor: Cursor): Promise<void> {
    return this.#mutex.run(async () => {
      const count = this.#provisional.findLastIndex(({ summary }) => summary.number <= number) + 1;
      const blocks = this.#provisional.slice(0, count);
      const latest = blocks.at(-1)?.summary ?? this.#latest;
      const entries: StoreEntry[] = blocks.flatMap(({ summary, l2Message }): StoreEntry[] => [
        ['header', numberKey(summary.number), encodeSummary(summary)],
        ['body', numberKey(summary.number), l2Message],
      ]);
      entries.push(['meta', HEAD, encodeHead({ latest, cursor })]);
      await this.#store.commit(entries);
      this.#cursor = cursor;
      this.#latest = latest;
      this.#provisional.splice(0, count);
    });
  }

  close(): Promise<void> {
    return this.#mutex.run(() => this.#store.close());
  }

  #read(raw: Uint8Array): { readonly gasLimit: bigint } | (ExecutionOutcome & { readonly status: 'skipped' }) {
    const decoded = decodeTransaction(raw, this.common);
    if ('reason' in decoded) return decoded;
    const { gasLimit } = decoded.transaction;
    const cap = transactionGasCap(this.file);
    if (gasLimit <= cap) return { gasLimit };
    const reason = `the gas limit ${gasLimit} is above the most that a transaction may use, ${cap}`;
    return { status: 'skipped', code: 'GAS_LIMIT', reason };
  }

  /** Of this node's own making: Nitro's hash follows from executing. Stands for the message and all before it. */
  #hashOf(message: NitroMessage): Bytes32 {
    return keccak256(concatBytes(this.head.hash, signatureHash(message, this.file.rollupId)));
  }
}
