/**
 * Executes a rollup whose rules read and write keys: the rules say what one transaction does, this does the rest: blocks,
 * state roots, undoing, durable storage. The ledger is such a rollup, and a team's own can be (`custom.ts`).
 *
 * The state root is an additive set hash modulo 2^256: the sum of sha256(key, value) over all entries. It costs two hashes
 * a write, whatever the size of the state, and tells honest nodes that they agree. It is not made to withstand
 * someone who can choose very many entries in order to build a second state with the same sum.
 */

import { createHash } from 'node:crypto';
import { type Bytes32, concatBytes, fromHex, SquadError, toHex } from '@squad/types';
import type { RollupFile } from '../../config/rollup-file.ts';
import type { BlockEnvironment, BlockSummary, Cursor, ExecutionOutcome, Executor } from '../api.ts';
import { keccak256 } from '../keccak.ts';
import { Mutex } from '../mutex.ts';
import { SealedBlocks } from '../sealed-blocks.ts';
import { numberKey, type StoreEntry } from '../store.ts';
import { StateView } from './view.ts';

const MODULUS = 1n << 256n;
const utf8 = new TextEncoder();
/** Transactions in one block. */
export const MAX_KEY_VALUE_BLOCK_TRANSACTIONS = 100_000;
/** UTF-16 units kept of why the rules refused a transaction. */
const MAX_REASON_LENGTH = 300;

/** What a rule sees of the state. Usable only until the rule returns. */
export interface KeyValueState {
  /** The value of a key; empty if it has none. */
  get(key: string): string;
  /** An empty value deletes the key. Throws beyond the limits of `view.ts`. */
  set(key: string, value: string): void;
}

/**
 * What one transaction does to the state. Refuses it by throwing: its writes are then undone, and it counts as skipped, with
 * the error's message as the reason, which must be the same on every node. Synchronous and deterministic: no clock, no random
 * number, no network, no state of its own.
 */
export type KeyValueRules = (transaction: Uint8Array, state: KeyValueState, block: BlockEnvironment) => void;

/** Thrown by rules that tell a transaction they cannot read from one that they do not allow. */
export class MalformedTransaction extends Error {}

interface Sealed {
  readonly summary: BlockSummary;
  readonly transactions: readonly Bytes32[];
  readonly writes: ReadonlyMap<string, string>;
}

interface Open {
  readonly environment: BlockEnvironment;
  readonly transactions: Bytes32[];
  readonly writes: Map<string, string>;
  sum: bigint;
}

export class KeyValueExecutor implements Executor {
  readonly kind: 'ledger' | 'custom';
  readonly file: RollupFile;
  readonly #rules: KeyValueRules;
  readonly #blocks: SealedBlocks<Sealed>;
  readonly #mutex = new Mutex();
  #open: Open | undefined;

  private constructor(file: RollupFile, rules: KeyValueRules, blocks: SealedBlocks<Sealed>) {
    this.kind = file.executor === 'ledger' ? 'ledger' : 'custom';
    this.file = file;
    this.#rules = rules;
    this.#blocks = blocks;
  }

  /** Opens or creates the rollup in a directory. Throws SquadError `ROLLUP_STORE_…` if that cannot be. */
  static async open(file: RollupFile, directory: string, rules: KeyValueRules): Promise<KeyValueExecutor> {
    return new KeyValueExecutor(file, rules, await SealedBlocks.open(file, directory, entriesOf));
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

  /** The value of a key; empty if it has none. `pending`: with everything that was executed. */
  read(key: string, at: 'latest' | 'pending' = 'pending'): string {
    if (at === 'pending') {
      const open = this.#open?.writes.get(key);
      if (open !== undefined) return open;
      const sealed = this.#blocks.provisional.findLast(({ writes }) => writes.has(key))?.writes.get(key);
      if (sealed !== undefined) return sealed;
    }
    const stored = this.#blocks.store.get('entry', utf8.encode(key));
    return stored === undefined ? '' : new TextDecoder().decode(stored);
  }

  /** A sealed block's summary; undefined if there is none of that number. */
  blockAt(number: number): BlockSummary | undefined {
    return this.#blocks.summaryAt(number);
  }

  begin(environment: BlockEnvironment): Promise<void> {
    return this.#mutex.run(async () => {
      this.#open = { environment, transactions: [], writes: new Map(), sum: BigInt(toHex(this.head.stateRoot)) };
    });
  }

  execute(bytes: Uint8Array): Promise<ExecutionOutcome> {
    return this.#mutex.run(async () => {
      const open = this.#open;
      if (open === undefined) throw new Error('execute was called without an open block');
      if (open.transactions.length >= MAX_KEY_VALUE_BLOCK_TRANSACTIONS) return { status: 'full' };
      const view = new StateView((key) => this.read(key));
      const refused = this.#apply(bytes, view, open.environment);
      if (refused !== undefined) return refused;
      for (const [key, value] of view.writes) this.#write(open, key, value);
      const hash = keccak256(bytes);
      open.transactions.push(hash);
      return { status: 'executed', hash };
    });
  }

  seal(): Promise<BlockSummary | undefined> {
    return this.#mutex.run(async () => {
      const open = this.#open;
      if (open === undefined) throw new Error('seal was called without an open block');
      this.#open = undefined;
      if (open.transactions.length === 0) return undefined;
      const { slot, timestampSeconds, randomness } = open.environment;
      const number = this.head.number + 1;
      const parentHash = this.head.hash;
      const stateRoot = fromHex(`0x${open.sum.toString(16).padStart(64, '0')}`);
      const times = concatBytes(numberKey(number), numberKey(slot), numberKey(timestampSeconds));
      const hash = sha256(parentHash, stateRoot, times, randomness, sha256(...open.transactions));
      const transactionCount = open.transactions.length;
      const summary = { number, hash, parentHash, stateRoot, slot, timestampSeconds, transactionCount };
      this.#blocks.push({ summary, transactions: open.transactions, writes: open.writes });
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

  /** Returns how the transaction is skipped; undefined if the rules took it. */
  #apply(bytes: Uint8Array, view: StateView, block: BlockEnvironment): ExecutionOutcome | undefined {
    try {
      // A copy: rules may keep parts of it, and must not change what others hold.
      const returned: unknown = this.#rules(bytes.slice(), view, block);
      if (view.fault === undefined && !isPromise(returned)) return undefined;
      view.fault ??= asynchronousRules();
      throw view.fault;
    } catch (error) {
      // A store that fails says nothing about the transaction, whatever the rules made of it.
      if (view.fault !== undefined) throw view.fault;
      const reason = (error instanceof Error ? error.message : String(error)).slice(0, MAX_REASON_LENGTH);
      return { status: 'skipped', code: error instanceof MalformedTransaction ? 'MALFORMED' : 'INVALID', reason };
    } finally {
      view.close();
    }
  }

  #write(open: Open, key: string, value: string): void {
    open.sum = (open.sum - weightOf(key, this.read(key)) + weightOf(key, value) + MODULUS) % MODULUS;
    open.writes.set(key, value);
  }
}

function weightOf(key: string, value: string): bigint {
  if (value === '') return 0n;
  const keyBytes = utf8.encode(key);
  return BigInt(toHex(sha256(numberKey(keyBytes.length), keyBytes, utf8.encode(value))));
}

function isPromise(value: unknown): boolean {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}

/** What they still have to do would happen on each node at another moment. */
function asynchronousRules(): SquadError {
  return new SquadError(
    'RULES_ASYNCHRONOUS',
    'the rules of the rollup returned a promise',
    'Rules are synchronous: they write to the state, or throw to refuse the transaction.',
  );
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function entriesOf({ summary, transactions, writes }: Sealed): StoreEntry[] {
  const number = numberKey(summary.number);
  const entries = transactions.map(
    (hash, index): StoreEntry => ['transaction', hash, concatBytes(number, numberKey(index))],
  );
  for (const [key, value] of writes) {
    entries.push(['entry', utf8.encode(key), value === '' ? undefined : utf8.encode(value)]);
  }
  return entries;
}
