/**
 * Station 3: transactions that edge peers gossip (R4). The home validator of a transaction, by its sender or else by its
 * hash, takes it into its lane at once; the others keep it and take it into theirs only if it is still unordered after a while.
 */

import type { GossipVerdict } from '@squad/network';
import type { Logger } from '@squad/service';
import {
  decode,
  fromHex,
  type GenesisRollup,
  GossipTransactions,
  type RollupId,
  type TransactionHash,
  type ValidatorIndex,
} from '@squad/types';
import type { Admission } from './admission/admission.ts';

/** Bytes of gossiped transactions that are kept for another home validator; beyond it they are not forwarded. */
export const MAX_KEPT_GOSSIP_BYTES: number = 16 * 1024 * 1024;
export const MAX_KEPT_GOSSIP_TRANSACTIONS = 65_536;
const CHECK_INTERVAL_MS = 250;

export interface GossipIntakeConfig {
  readonly rollups: readonly GenesisRollup[];
  readonly admission: Admission;
  /** This node's place among the validators of now, and how many they are. */
  readonly place: () => { readonly self: ValidatorIndex | undefined; readonly validators: number };
  readonly takeoverMs: number;
  readonly now: () => number;
  /** Takes a checked transaction into the own lane; false if there is no room. */
  readonly take: (rollupId: RollupId, hash: TransactionHash, transaction: Uint8Array) => boolean;
  readonly isOrdered: (hash: TransactionHash) => Promise<boolean>;
  readonly logger: Logger;
}

interface Kept {
  readonly rollupId: RollupId;
  readonly transaction: Uint8Array;
  readonly dueAtMs: number;
}

export class GossipIntake {
  readonly #config: GossipIntakeConfig;
  /** In the order of arrival, so in the order in which they fall due. */
  readonly #kept = new Map<TransactionHash, Kept>();
  #keptBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(config: GossipIntakeConfig) {
    this.#config = config;
  }

  get kept(): number {
    return this.#kept.size;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async onMessage(message: Uint8Array): Promise<GossipVerdict> {
    const { rollups, admission, now } = this.#config;
    const decoded = decode(GossipTransactions, 'GossipTransactions', message);
    if (!decoded.ok) return 'reject';
    const { rollupId, transactions } = decoded.value;
    const rollup = rollups.find((known) => known.rollupId === rollupId);
    if (!rollup || transactions.length === 0) return 'reject';
    const bytes = transactions.reduce((sum, transaction) => sum + transaction.length, 0);
    if (!this.#hasRoomFor(transactions.length, bytes)) return 'ignore';
    const outcomes = await admission.admit(rollup, transactions);
    // Busy is no fault of the sender's; a transaction that no honest peer lets in is.
    if (outcomes.some((outcome) => !outcome.ok && outcome.error.code === 'ADMISSION_BUSY')) return 'ignore';
    if (outcomes.some((outcome) => !outcome.ok)) return 'reject';
    outcomes.forEach((outcome, i) => {
      if (!outcome.ok) return;
      const { hash, evm } = outcome.value;
      // By sender where there is one: a run of nonces that went to several lanes would be ordered out of sequence.
      const home = homeOf(evm?.sender ?? fromHex(hash), this.#config.place().validators);
      this.#take(rollupId, hash, transactions[i]!, home, now());
    });
    return 'accept';
  }

  #take(rollupId: RollupId, hash: TransactionHash, transaction: Uint8Array, home: ValidatorIndex, nowMs: number): void {
    const { place, take, takeoverMs } = this.#config;
    const { self } = place();
    if (self === undefined || this.#kept.has(hash)) return;
    if (home === self && take(rollupId, hash, transaction)) return;
    // Others may have come while this one was checked. Its home has it.
    if (!this.#hasRoomFor(1, transaction.length)) return;
    this.#kept.set(hash, { rollupId, transaction, dueAtMs: nowMs + takeoverMs });
    this.#keptBytes += transaction.length;
    this.#timer ??= this.#checkLater();
  }

  #hasRoomFor(transactions: number, bytes: number): boolean {
    return (
      this.#keptBytes + bytes <= MAX_KEPT_GOSSIP_BYTES && this.#kept.size + transactions <= MAX_KEPT_GOSSIP_TRANSACTIONS
    );
  }

  #checkLater(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#takeOver()
        .catch((error: unknown) =>
          this.#config.logger.error({ err: error }, 'gossiped transactions were not taken over'),
        )
        .finally(() => {
          if (this.#timer !== undefined) this.#timer = this.#kept.size > 0 ? this.#checkLater() : undefined;
        });
    }, CHECK_INTERVAL_MS);
  }

  /** Those that are due and still not ordered go into the own lane. */
  async #takeOver(): Promise<void> {
    const { now, take, isOrdered } = this.#config;
    for (const [hash, { rollupId, transaction, dueAtMs }] of this.#kept) {
      if (dueAtMs > now()) break;
      const ordered = await isOrdered(hash);
      if (this.#timer === undefined) return; // stopped
      if (!ordered && !take(rollupId, hash, transaction)) break; // no room now: tried again
      this.#kept.delete(hash);
      this.#keptBytes -= transaction.length;
    }
  }
}

function homeOf(key: Uint8Array, validators: number): ValidatorIndex {
  return new DataView(key.buffer, key.byteOffset + key.length - 4).getUint32(0) % validators;
}
