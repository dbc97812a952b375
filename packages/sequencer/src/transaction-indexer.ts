/**
 * Behind complete bodies: puts the places of the transactions of every final block into the store's index, by how their hashes
 * begin. Nothing waits for it, so it gives way between two batches; a node that orders much may be some way behind.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import {
  type BatchDigest,
  type BatchRef,
  Block,
  decodeBatch,
  HASH_PREFIX_BYTES,
  type Height,
  toHex,
} from '@squad/types';
import { type HashPrefixes, hashPrefixesOf } from './hash-prefixes.ts';

/** Blocks, and batches of one of them, that are read at once. */
const MAX_BLOCKS_READ = 32;
const MAX_BATCHES_READ = 16;
/** Transactions after which other work has its turn: hashing them takes about a millisecond. */
const TRANSACTIONS_AT_ONCE = 512;

export interface TransactionIndexerConfig {
  readonly store: NodeStore;
  readonly hashPrefixes: HashPrefixes;
  readonly logger: Logger;
}

interface ReadBatch {
  readonly digest: BatchDigest;
  readonly told: Uint8Array | undefined;
  bytes: Uint8Array | undefined;
}

export class TransactionIndexer {
  readonly #config: TransactionIndexerConfig;
  readonly #start: Height;
  #complete: Height = 0;
  #running: Promise<void> | undefined;
  #sinceGivenWay = 0;
  #stopped = false;

  constructor(config: TransactionIndexerConfig) {
    this.#config = config;
    this.#start = config.store.head;
  }

  /** Transactions of blocks that became final since the start. */
  transactions = 0;

  /** The bodies of all final blocks up to this height are held. */
  onComplete(height: Height): void {
    this.#complete = Math.max(this.#complete, height);
    // A run that found nothing to do would be over before it is noted here, and no other would ever begin.
    const isBehind = this.#config.store.transactionsIndexedThrough < this.#complete;
    if (isBehind && !this.#running && !this.#stopped) this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    const { store, logger } = this.#config;
    try {
      while (store.transactionsIndexedThrough < this.#complete && !this.#stopped) {
        const from = store.transactionsIndexedThrough + 1;
        const blocks = await store.readBlocks(from, Math.min(MAX_BLOCKS_READ, this.#complete - from + 1));
        if (blocks.length === 0) throw new Error(`final block ${from} is not in the store`);
        for (const { height, block } of blocks) {
          await this.#index(height, Block.deserialize(block));
          if (this.#stopped) return;
        }
      }
    } catch (error) {
      logger.error({ err: error }, 'transactions of final blocks could not be indexed');
    } finally {
      this.#running = undefined;
    }
  }

  async #index(height: Height, { refs }: Block): Promise<void> {
    const { store } = this.#config;
    for (let from = 0; from < refs.length; from += MAX_BATCHES_READ) {
      for (const [i, batch] of (await this.#read(refs.slice(from, from + MAX_BATCHES_READ))).entries()) {
        const prefixes = batch.told ?? prefixesOf(batch);
        await store.indexTransactions(from + i, prefixes);
        const transactions = prefixes.length / HASH_PREFIX_BYTES;
        if (height > this.#start) this.transactions += transactions;
        await this.#giveWay(transactions);
        // What is begun again after a stop finds the block's first batches twice, which does no harm.
        if (this.#stopped) return;
      }
    }
    await store.completeTransactions(height);
    await this.#giveWay(1);
  }

  /** Batches, or what their authors told of them. */
  async #read(refs: readonly BatchRef[]): Promise<ReadBatch[]> {
    const { store, hashPrefixes } = this.#config;
    const batches = refs.map(({ digest }): ReadBatch => {
      const hex = toHex(digest);
      return { digest: hex, told: hashPrefixes.take(hex), bytes: undefined };
    });
    const untold = batches.filter(({ told }) => told === undefined);
    const read = untold.length > 0 ? await store.readBatches(untold.map(({ digest }) => digest)) : [];
    for (const [i, batch] of untold.entries()) batch.bytes = read[i];
    return batches;
  }

  async #giveWay(transactions: number): Promise<void> {
    this.#sinceGivenWay += transactions;
    if (this.#sinceGivenWay < TRANSACTIONS_AT_ONCE) return;
    this.#sinceGivenWay = 0;
    await nextTurn();
  }
}

/** By hashing them; empty of a body that was pruned before it was indexed. */
function prefixesOf({ digest, bytes }: ReadBatch): Uint8Array {
  if (!bytes) return new Uint8Array();
  const batch = decodeBatch(bytes);
  if (!batch.ok) throw new Error(`batch ${digest} cannot be read back: ${batch.error.reason}`);
  return hashPrefixesOf(batch.value.body);
}
