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
import { type RollupFile, transactionGasCap } from '../../config/rollup-file.ts';
import type { BlockEnvironment, BlockSummary, Cursor, ExecutionOutcome, Executor } from '../../execution/api.ts';
import { createSharedCommon } from '../../execution/evm/common.ts';
import { decodeTransaction } from '../../execution/evm/transaction.ts';
import { keccak256 } from '../../execution/keccak.ts';
import { Mutex } from '../../execution/mutex.ts';
import { SealedBlocks } from '../../execution/sealed-blocks.ts';
import { numberKey, type StoreEntry } from '../../execution/store.ts';
import { MAX_L2_MESSAGE_BYTES } from './limits.ts';
import { encodeL2Message, l2MessageBytes, type NitroMessage, signatureHash } from './message.ts';

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
  readonly #blocks: SealedBlocks<Sealed>;
  readonly #mutex = new Mutex();
  #open: Open | undefined;

  private constructor(file: RollupFile, blocks: SealedBlocks<Sealed>) {
    this.file = file;
    this.common = createSharedCommon(file.rollupId, file.hardfork);
    this.#blocks = blocks;
  }

  static async open(file: RollupFile, directory: string): Promise<NitroExecutor> {
    const bodyOf = ({ summary, l2Message }: Sealed): StoreEntry[] => [['body', numberKey(summary.number), l2Message]];
    return new NitroExecutor(file, await SealedBlocks.open(file, directory, bodyOf));
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

  /** The message of a durable block: its order is final. Undefined above `latest`, and for 0, which has none. */
  messageAt(number: number): NitroMessage | undefined {
    if (number > this.latest.number) return undefined;
    const summary = this.#blocks.summaryAt(number);
    const l2Message = this.#blocks.store.get('body', numberKey(number));
    if (summary === undefined || l2Message === undefined) return undefined;
    return { sequenceNumber: number, timestampSeconds: summary.timestampSeconds, l2Message };
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
      this.#blocks.push({ summary, l2Message });
      return summary;
    });
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
