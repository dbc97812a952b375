/** Where transactions were ordered, by hash. Of several places of one hash the first stays: there it was executed. */

import { type Bytes32, type Height, type Hex, toHex } from '@squad/types';
import type { KeyValueEntry, KeyValueStore, TransactionEntry, TransactionLocation } from '../api.ts';
import { storeInput } from '../errors.ts';
import { MAX_INDEXED_TRANSACTIONS_PER_CALL } from '../limits.ts';
import {
  decodeLocation,
  decodeUint64,
  encodeLocation,
  encodeUint64,
  STATE_KEYS,
  transactionKey,
  transactionsOfBlockKey,
} from './keys.ts';

const HASH_BYTES = 32;

export class TransactionIndex {
  readonly #keyValueStore: KeyValueStore;
  #through: Height;

  static async open(keyValueStore: KeyValueStore): Promise<TransactionIndex> {
    const through = await keyValueStore.get(STATE_KEYS.transactionsIndexedThrough);
    return new TransactionIndex(keyValueStore, through === undefined ? 0 : decodeUint64(through));
  }

  private constructor(keyValueStore: KeyValueStore, through: Height) {
    this.#keyValueStore = keyValueStore;
    this.#through = through;
  }

  get through(): Height {
    return this.#through;
  }

  async add(throughHeight: Height, entries: readonly TransactionEntry[]): Promise<void> {
    checkEntries(entries);
    const writes: KeyValueEntry[] = [];
    for (const block of groupByHeight(await this.#firstOnes(entries))) {
      const hashes = new Uint8Array(HASH_BYTES * block.length);
      for (const [i, entry] of block.entries()) {
        writes.push([transactionKey(entry.hash), encodeLocation(entry)]);
        hashes.set(entry.hash, HASH_BYTES * i);
      }
      writes.push([transactionsOfBlockKey(block[0]!), hashes]);
    }
    const through = Math.max(this.#through, throughHeight);
    writes.push([STATE_KEYS.transactionsIndexedThrough, encodeUint64(through)]);
    await this.#keyValueStore.write(writes);
    this.#through = Math.max(this.#through, through);
  }

  async find(hash: Bytes32): Promise<TransactionLocation | undefined> {
    const value = await this.#keyValueStore.get(transactionKey(hash));
    return value === undefined ? undefined : decodeLocation(value);
  }

  /** Forgets the transactions of blocks below the height. */
  async pruneBefore(height: Height): Promise<void> {
    const gte = transactionsOfBlockKey({ height: 0, batchIndex: 0, transactionIndex: 0 });
    const lt = transactionsOfBlockKey({ height, batchIndex: 0, transactionIndex: 0 });
    for await (const [key, hashes] of this.#keyValueStore.range({ gte, lt })) {
      const deletions: KeyValueEntry[] = [[key, undefined]];
      for (let offset = 0; offset < hashes.length; offset += HASH_BYTES) {
        deletions.push([transactionKey(hashes.subarray(offset, offset + HASH_BYTES)), undefined]);
      }
      await this.#keyValueStore.write(deletions);
    }
  }

  async #firstOnes(entries: readonly TransactionEntry[]): Promise<TransactionEntry[]> {
    const held = await this.#keyValueStore.getMany(entries.map(({ hash }) => transactionKey(hash)));
    const seen = new Set<Hex>();
    return entries.filter(({ hash }, i) => {
      const name = toHex(hash);
      const isFirst = held[i] === undefined && !seen.has(name);
      seen.add(name);
      return isFirst;
    });
  }
}

function checkEntries(entries: readonly TransactionEntry[]): void {
  if (entries.length > MAX_INDEXED_TRANSACTIONS_PER_CALL) {
    const demand = `at most MAX_INDEXED_TRANSACTIONS_PER_CALL = ${MAX_INDEXED_TRANSACTIONS_PER_CALL}`;
    throw storeInput('The number of transactions', entries.length, demand);
  }
  for (const { hash } of entries) {
    if (hash.length !== HASH_BYTES) throw storeInput('The byte length of a transaction hash', hash.length, '32');
  }
}

function groupByHeight(entries: readonly TransactionEntry[]): TransactionEntry[][] {
  const groups = new Map<Height, TransactionEntry[]>();
  for (const entry of entries) {
    const group = groups.get(entry.height);
    if (group === undefined) groups.set(entry.height, [entry]);
    else group.push(entry);
  }
  return [...groups.values()];
}
