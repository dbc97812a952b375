/**
 * What a validator that left the set still has in its lane (R22): batches that were accepted and never ordered. It gives
 * their transactions to those who validate now, again and again until they are ordered: nothing that was accepted is lost.
 */

import { keccak256 } from '@squad/crypto/node';
import { GOSSIP_SEEN_MS } from '@squad/network';
import type { Logger } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import {
  batchDigest,
  bodyTransactions,
  decodeBatch,
  GossipTransactions,
  MAX_BATCH_TRANSACTIONS,
  type RollupId,
  type SignedBatchHeader,
  type TransactionHash,
  toHex,
} from '@squad/types';

/** Milliseconds between two looks at what is ordered. */
export const HAND_ON_INTERVAL_MS = 1_000;
/**
 * Bytes that are given away in one interval: what waits for one peer's stream, and what a peer keeps of one rollup for a home
 * that is not its own (`MAX_KEPT_GOSSIP_BYTES`), is 8 MiB. What is beyond is dropped, and counts as seen.
 */
export const MAX_HANDED_ON_BYTES: number = 2 * 1024 * 1024;
/** What makes a message another one than those before it: copies of a small transaction, so many, and so many bytes of them. */
const MAX_COPIES = 7;
const MAX_COPIED_BYTES: number = 64 * 1024;
/** Bytes of transactions in one gossip message, and how many: with the copies within what a message of the topic may have. */
const MAX_MESSAGE_BYTES: number = 128 * 1024;
const MAX_MESSAGE_TRANSACTIONS: number = 1024 - MAX_COPIES;
/** A wait is twice as long as the one before, up to this: by then no peer remembers the first message. */
const LAST_WAIT_MS: number = GOSSIP_SEEN_MS + 4_000;

export interface HandOnConfig {
  readonly store: Pick<NodeStore, 'readBatch'>;
  readonly publish: (message: Uint8Array) => Promise<number>;
  readonly isOrdered: (hash: TransactionHash) => Promise<boolean>;
  /** All transactions of a batch are ordered, by others. */
  readonly onOrdered: (hashes: readonly TransactionHash[]) => void;
  readonly now: () => number;
  readonly logger: Logger;
}

/** What was given away of one batch. */
interface Given {
  /** The first transaction that was not ordered then. */
  readonly missing: TransactionHash;
  readonly times: number;
  /** Milliseconds to the next time once somebody has heard it. */
  readonly waitMs: number;
  /** When it is given again. */
  readonly dueAtMs: number;
}

export class HandOn {
  readonly #config: HandOnConfig;
  #headers: readonly SignedBatchHeader[];
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;
  readonly #given = new Map<SignedBatchHeader, Given>();

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
        if (!this.#stopped) this.#timer = setTimeout(() => this.start(), HAND_ON_INTERVAL_MS);
      });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #giveAway(): Promise<void> {
    const { now, isOrdered, onOrdered } = this.#config;
    const dueAtMs = (signed: SignedBatchHeader) => this.#given.get(signed)?.dueAtMs ?? 0;
    let bytes = 0;
    let count = 0;
    for (const signed of this.#headers.toSorted((a, b) => dueAtMs(a) - dueAtMs(b))) {
      if (this.#stopped) return;
      const { rollupId, byteLength, transactionCount } = signed.header;
      const given = this.#given.get(signed);
      const hasRoom = bytes + byteLength <= MAX_HANDED_ON_BYTES && count + transactionCount <= MAX_BATCH_TRANSACTIONS;
      const isTurn = hasRoom && dueAtMs(signed) <= now();
      // Between two times one transaction tells whether anything has changed: to read and hash them all costs more.
      if (!isTurn && !(given && (await isOrdered(given.missing)))) continue;
      const transactions = await this.#read(signed);
      if (!transactions) continue;
      const hashes = transactions.map((transaction) => toHex(keccak256(transaction)));
      const missing: number[] = [];
      for (const [i, hash] of hashes.entries()) if (!(await isOrdered(hash))) missing.push(i);
      const [first] = missing;
      if (first === undefined) {
        this.#headers = this.#headers.filter((other) => other !== signed);
        this.#given.delete(signed);
        onOrdered(hashes);
      } else if (isTurn) {
        bytes += byteLength;
        count += transactionCount;
        const left = missing.map((i) => transactions[i]!);
        this.#given.set(signed, await this.#give(rollupId, left, hashes[first]!, given));
      } else this.#given.set(signed, { ...given!, missing: hashes[first]! });
    }
  }

  async #read({ header }: SignedBatchHeader): Promise<readonly Uint8Array[] | undefined> {
    const bytes = await this.#config.store.readBatch(toHex(batchDigest(header)));
    const batch = bytes && decodeBatch(bytes);
    return batch?.ok ? bodyTransactions(batch.value.body) : undefined;
  }

  async #give(
    rollupId: RollupId,
    transactions: readonly Uint8Array[],
    missing: TransactionHash,
    { times, waitMs }: Pick<Given, 'times' | 'waitMs'> = { times: 0, waitMs: HAND_ON_INTERVAL_MS },
  ): Promise<Given> {
    const { publish, now } = this.#config;
    const least = transactions.reduce((small, one) => (one.length < small.length ? one : small));
    // Of large ones there is no other message than the one that is remembered: it has to wait until it is not.
    const canVary = least.length * MAX_COPIES <= MAX_COPIED_BYTES;
    const copies = Array.from({ length: canVary ? times % (MAX_COPIES + 1) : 0 }, () => least);
    let heard = 0;
    for (const message of messagesOf(transactions)) {
      heard += await publish(GossipTransactions.serialize({ rollupId, transactions: [...message, ...copies] }));
      // Nobody listens. It may count as seen all the same.
      if (heard === 0) return { missing, times: times + 1, waitMs, dueAtMs: now() + HAND_ON_INTERVAL_MS };
    }
    const longer = Math.min(2 * waitMs, LAST_WAIT_MS);
    return { missing, times: times + 1, waitMs: longer, dueAtMs: now() + (canVary ? waitMs : LAST_WAIT_MS) };
  }
}

/** In their order, as many in one message as fit. */
function messagesOf(transactions: readonly Uint8Array[]): Uint8Array[][] {
  const messages: Uint8Array[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const transaction of transactions) {
    const last = messages.at(-1);
    if (last && last.length < MAX_MESSAGE_TRANSACTIONS && bytes + transaction.length <= MAX_MESSAGE_BYTES) {
      last.push(transaction);
      bytes += transaction.length;
    } else {
      messages.push([transaction]);
      bytes = transaction.length;
    }
  }
  return messages;
}
