/**
 * What a validator that left the set still has in its lane (R22): batches that were accepted and never ordered. It gives
 * their transactions to those who validate now, again and again until they are ordered: nothing that was accepted is lost.
 */

import { keccak256 } from '@squad/crypto/node';
import type { Logger } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import {
  batchDigest,
  bodyTransactions,
  decodeBatch,
  GossipTransactions,
  type SignedBatchHeader,
  type TransactionHash,
  toHex,
} from '@squad/types';

const INTERVAL_MS = 1_000;
/** Bytes of transactions in one gossip message, and how many: within what a message of the topic may have. */
const MAX_MESSAGE_BYTES: number = 128 * 1024;
const MAX_MESSAGE_TRANSACTIONS = 1024;
/** Rounds until a message is the same again: by then no peer remembers it. */
const MAX_COPIES = 256;

export interface HandOnConfig {
  readonly store: Pick<NodeStore, 'readBatch'>;
  readonly publish: (message: Uint8Array) => Promise<number>;
  readonly isOrdered: (hash: TransactionHash) => Promise<boolean>;
  /** All transactions of a batch are ordered, by others. */
  readonly onOrdered: (hashes: readonly TransactionHash[]) => void;
  readonly logger: Logger;
}

export class HandOn {
  readonly #config: HandOnConfig;
  #headers: readonly SignedBatchHeader[];
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;
  #round = 0;

  constructor(config: HandOnConfig, headers: readonly SignedBatchHeader[]) {
    this.#config = config;
    this.#headers = headers;
  }

  /** Of what is not known to be ordered; durable, and to be recorded for as long as it is here. */
  get headers(): readonly SignedBatchHeader[] {
    return this.#headers;
  }

  add(headers: readonly SignedBatchHeader[]): void {
    this.#headers = [...this.#headers, ...headers];
  }

  start(): void {
    if (this.#stopped || this.#running || this.#headers.length === 0) return;
    this.#running = this.#giveAway()
      .catch((error: unknown) => this.#config.logger.error({ err: error }, 'transactions were not given away'))
      .finally(() => {
        this.#running = undefined;
        if (!this.#stopped) this.#timer = setTimeout(() => this.start(), INTERVAL_MS);
      });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #giveAway(): Promise<void> {
    for (const signed of this.#headers) {
      if (this.#stopped) return;
      const bytes = await this.#config.store.readBatch(toHex(batchDigest(signed.header)));
      const batch = bytes && decodeBatch(bytes);
      if (!batch?.ok) continue;
      const transactions = bodyTransactions(batch.value.body);
      const hashes = transactions.map((transaction) => toHex(keccak256(transaction)));
      const missing: Uint8Array[] = [];
      for (const [i, hash] of hashes.entries()) {
        if (!(await this.#config.isOrdered(hash))) missing.push(transactions[i]!);
      }
      if (missing.length === 0) {
        this.#headers = this.#headers.filter((other) => other !== signed);
        this.#config.onOrdered(hashes);
      } else await this.#publish(signed.header.rollupId, missing);
    }
  }

  /** Gossip carries no message twice: in each round the first transaction stands there once more. */
  async #publish(rollupId: number, transactions: readonly Uint8Array[]): Promise<void> {
    let message: Uint8Array[] = [];
    let bytes = 0;
    const send = async () => {
      if (message.length > 0)
        await this.#config.publish(GossipTransactions.serialize({ rollupId, transactions: message }));
      message = [];
      bytes = 0;
    };
    const again = Array.from({ length: this.#round++ % MAX_COPIES }, () => transactions[0]!);
    for (const transaction of [...again, ...transactions]) {
      if (message.length === MAX_MESSAGE_TRANSACTIONS || bytes + transaction.length > MAX_MESSAGE_BYTES) await send();
      message.push(transaction);
      bytes += transaction.length;
    }
    await send();
  }
}
