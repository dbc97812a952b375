/**
 * Executes a rollup whose rules read and write keys: the rules say what one transaction does, this does the rest: blocks,
 * state roots, undoing, durable storage. The ledger is such a rollup, and a team's own can be (`custom.ts`).
 *
 * The state root is an additive set hash modulo 2^256: the sum of sha256(key, value) over all entries. It costs two hashes
 * a write, whatever the size of the state, and tells honest nodes that they agree. It is not made to withstand
 * someone who can choose very many entries in order to build a second state with the same sum.
 */

import { createHash } from 'node:crypto';
import { type Bytes32, concatBytes, fromHex, SquadError, toHex, ZERO_HASH } from '@squad/types';
import { type RollupFile, rollupFileHash } from '../../config/rollup-file.ts';
import type { BlockEnvironment, BlockSummary, Cursor, ExecutionOutcome, Executor } from '../api.ts';
import { keccak256 } from '../keccak.ts';
import { Mutex } from '../mutex.ts';
import { numberKey, RollupStore, type StoreEntry } from '../store.ts';
import { StateView } from './view.ts';

const MODULUS = 1n << 256n;
const HEAD = new TextEncoder().encode('head');
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
  readonly #store: RollupStore;
  readonly #mutex = new Mutex();
  readonly #provisional: Sealed[] = [];
  #latest: BlockSummary;
  #cursor: Cursor | undefined;
  #open: Open | undefined;

  private constructor(
    file: RollupFile,
    rules: KeyValueRules,
    store: RollupStore,
    stored: { readonly latest: BlockSummary; readonly cursor: Cursor | undefined },
  ) {
    this.kind = file.executor === 'ledger' ? 'ledger' : 'custom';
    this.file = file;
    this.#rules = rules;
    this.#store = store;
    this.#latest = stored.latest;
    this.#cursor = stored.cursor;
  }

  /** Opens or creates the rollup in a directory. Throws SquadError `ROLLUP_STORE_…` if that cannot be. */
  static async open(file: RollupFile, directory: string, rules: KeyValueRules): Promise<KeyValueExecutor> {
    const identity = rollupFileHash(file);
    const store = await RollupStore.open(directory, identity);
    const stored = store.get('meta', HEAD);
    const head = stored === undefined ? { latest: genesisOf(file, identity), cursor: undefined } : decodeHead(stored);
    return new KeyValueExecutor(file, rules, store, head);
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

  /** The value of a key; empty if it has none. `pending`: with everything that was executed. */
  read(key: string, at: 'latest' | 'pending' = 'pending'): string {
    if (at === 'pending') {
      const open = this.#open?.writes.get(key);
      if (open !== undefined) return open;
      const sealed = this.#provisional.findLast(({ writes }) => writes.has(key))?.writes.get(key);
      if (sealed !== undefined) return sealed;
    }
    const stored = this.#store.get('entry', utf8.encode(key));
    return stored === undefined ? '' : new TextDecoder().decode(stored);
  }

  /** A sealed block's summary; undefined if there is none of that number. */
  blockAt(number: number): BlockSummary | undefined {
    if (number > this.#latest.number) return this.#provisional[number - this.#latest.number - 1]?.summary;
    if (number === this.#latest.number) return this.#latest;
    const record = this.#store.get('header', numberKey(number));
    return record && decodeSummary(JSON.parse(new TextDecoder().decode(record)));
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
      this.#provisional.push({ summary, transactions: open.transactions, writes: open.writes });
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
      const entries: StoreEntry[] = blocks.flatMap(entriesOf);
      entries.push(['meta', HEAD, encodeHead(latest, cursor)]);
      await this.#store.commit(entries);
      this.#cursor = cursor;
      this.#latest = latest;
      this.#provisional.splice(0, count);
    });
  }

  close(): Promise<void> {
    return this.#mutex.run(() => this.#store.close());
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

function genesisOf(file: RollupFile, identity: Bytes32): BlockSummary {
  const timestampSeconds = Math.floor(file.genesisTimeMs / 1000);
  const numbers = { number: 0, slot: -1, timestampSeconds, transactionCount: 0 };
  return { ...numbers, hash: identity, parentHash: ZERO_HASH, stateRoot: ZERO_HASH };
}

function entriesOf({ summary, transactions, writes }: Sealed): StoreEntry[] {
  const number = numberKey(summary.number);
  const entries: StoreEntry[] = [['header', number, utf8.encode(JSON.stringify(encodeSummary(summary)))]];
  transactions.forEach((hash, index) => {
    entries.push(['transaction', hash, concatBytes(number, numberKey(index))]);
  });
  for (const [key, value] of writes) {
    entries.push(['entry', utf8.encode(key), value === '' ? undefined : utf8.encode(value)]);
  }
  return entries;
}

type StoredSummary = Omit<BlockSummary, 'hash' | 'parentHash' | 'stateRoot'> &
  Record<'hash' | 'parentHash' | 'stateRoot', string>;

function encodeSummary(summary: BlockSummary): StoredSummary {
  const { hash, parentHash, stateRoot } = summary;
  return { ...summary, hash: toHex(hash), parentHash: toHex(parentHash), stateRoot: toHex(stateRoot) };
}

function decodeSummary(stored: StoredSummary): BlockSummary {
  const { hash, parentHash, stateRoot } = stored;
  return { ...stored, hash: fromHex(hash), parentHash: fromHex(parentHash), stateRoot: fromHex(stateRoot) };
}

function encodeHead(latest: BlockSummary, cursor: Cursor): Uint8Array {
  return utf8.encode(
    JSON.stringify({ latest: encodeSummary(latest), cursor: { ...cursor, hash: toHex(cursor.hash) } }),
  );
}

function decodeHead(bytes: Uint8Array): { readonly latest: BlockSummary; readonly cursor: Cursor } {
  const { latest, cursor } = JSON.parse(new TextDecoder().decode(bytes));
  return { latest: decodeSummary(latest), cursor: { ...cursor, hash: fromHex(cursor.hash) } };
}
