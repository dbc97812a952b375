/**
 * A plain key-value ledger as a rollup: shows that a rollup's rules need not be the EVM's, and how little they need.
 *
 * The state root is an additive set hash modulo 2^256: the sum of sha256(key, value) over all entries. It costs two hashes
 * a write, whatever the size of the state, and tells honest nodes that they agree. It is not made to withstand
 * someone who can choose very many entries in order to build a second state with the same sum.
 */

import { createHash } from 'node:crypto';
import { type Bytes32, concatBytes, fromHex, toHex, ZERO_HASH } from '@squad/types';
import { type RollupFile, rollupFileHash } from '../../config/rollup-file.ts';
import type { BlockEnvironment, BlockSummary, Cursor, ExecutionOutcome, Executor } from '../api.ts';
import { keccak256 } from '../keccak.ts';
import { Mutex } from '../mutex.ts';
import { numberKey, RollupStore, type StoreEntry } from '../store.ts';
import { decodeLedgerTransaction, type LedgerTransaction } from './transaction.ts';

const MODULUS = 1n << 256n;
const HEAD = new TextEncoder().encode('head');
const utf8 = new TextEncoder();
/** Transactions in one block. */
export const MAX_LEDGER_BLOCK_TRANSACTIONS = 100_000;

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

export class LedgerExecutor implements Executor {
  readonly kind = 'ledger';
  readonly file: RollupFile;
  readonly #store: RollupStore;
  readonly #mutex = new Mutex();
  readonly #provisional: Sealed[] = [];
  #latest: BlockSummary;
  #cursor: Cursor | undefined;
  #open: Open | undefined;

  private constructor(file: RollupFile, store: RollupStore, latest: BlockSummary, cursor: Cursor | undefined) {
    this.file = file;
    this.#store = store;
    this.#latest = latest;
    this.#cursor = cursor;
  }

  static async open(file: RollupFile, directory: string): Promise<LedgerExecutor> {
    const identity = rollupFileHash(file);
    const store = await RollupStore.open(directory, identity);
    const stored = store.get('meta', HEAD);
    const head = stored === undefined ? { latest: genesisOf(file, identity), cursor: undefined } : decodeHead(stored);
    return new LedgerExecutor(file, store, head.latest, head.cursor);
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
      if (open.transactions.length >= MAX_LEDGER_BLOCK_TRANSACTIONS) return { status: 'full' };
      const decoded = decodeLedgerTransaction(bytes);
      if (!decoded.ok) return { status: 'skipped', code: 'MALFORMED', reason: decoded.error };
      const refused = this.#apply(open, decoded.value);
      if (refused !== undefined) return { status: 'skipped', code: 'INVALID', reason: refused };
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

  /** Returns why the transaction is refused, or undefined. Writes nothing if it is. */
  #apply(open: Open, transaction: LedgerTransaction): string | undefined {
    if (transaction.op === 'set') {
      this.#write(open, transaction.key, transaction.value);
      return undefined;
    }
    const { from, to, amount } = transaction;
    const held = balanceOf(this.read(from));
    const received = balanceOf(this.read(to));
    if (held === undefined) return `"${from}" does not hold a number`;
    if (received === undefined) return `"${to}" does not hold a number`;
    if (held < BigInt(amount)) return `"${from}" holds ${held}, less than ${amount}`;
    if (received + BigInt(amount) >= MODULUS) return `"${to}" would hold more than 2^256-1`;
    if (from === to) return undefined;
    this.#write(open, from, String(held - BigInt(amount)));
    this.#write(open, to, String(received + BigInt(amount)));
    return undefined;
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

function balanceOf(value: string): bigint | undefined {
  if (value === '') return 0n;
  return /^(0|[1-9][0-9]{0,77})$/.test(value) ? BigInt(value) : undefined;
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
