/**
 * Behind complete bodies: puts the places of the transactions of every final block into the store's index, by how their hashes
 * begin. Nothing waits for it, so it gives way between two batches; a node that orders much may be some way behind.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import { type BatchRef, Block, decodeBatch, HASH_PREFIX_BYTES, type Height, toHex } from '@squad/types';
import { type HashPrefixes, hashPrefixesOf } from './hash-prefixes.ts';

export interface TransactionIndexerConfig {
  readonly store: NodeStore;
  readonly hashPrefixes: HashPrefixes;
  readonly logger: Logger;
}

export class TransactionIndexer {
  readonly #config: TransactionIndexerConfig;
  readonly #start: Height;
  #complete: Height = 0;
  #running: Promise<void> | undefined;
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
        await this.#index(store.transactionsIndexedThrough + 1);
      }
    } catch (error) {
      logger.error({ err: error }, 'transactions of final blocks could not be indexed');
    } finally {
      this.#running = undefined;
    }
  }

  async #index(height: Height): Promise<void> {
    const { store } = this.#config;
    const stored = await store.readBlock(height);
    if (!stored) throw new Error(`final block ${height} is not in the store`);
    for (const [batchIndex, ref] of Block.deserialize(stored.block).refs.entries()) {
      const prefixes = await this.#prefixesOf(ref);
      await store.indexTransactions(batchIndex, prefixes);
      if (height > this.#start) this.transactions += prefixes.length / HASH_PREFIX_BYTES;
      await nextTurn();
      // What is begun again after a stop finds the block's first batches twice, which does no harm.
      if (this.#stopped) return;
    }
    await store.completeTransactions(height);
  }

  /** As its author told them, or hashed here; empty if the body was pruned before it was indexed. */
  async #prefixesOf({ digest }: BatchRef): Promise<Uint8Array> {
    const { store, hashPrefixes } = this.#config;
    const told = hashPrefixes.take(toHex(digest));
    if (told) return told;
    const bytes = await store.readBatch(toHex(digest));
    if (!bytes) return new Uint8Array();
    const batch = decodeBatch(bytes);
    if (!batch.ok) throw new Error(`batch ${toHex(digest)} cannot be read back: ${batch.error.reason}`);
    return hashPrefixesOf(batch.value.body);
  }
}
