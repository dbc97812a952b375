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
import type { Rejection } from './admission/rejection.ts';
import { isWithinShare } from './share.ts';

/**
 * Bytes of gossiped transactions that are kept for another home validator, of which one rollup may fill half
 * (`isWithinShare`); beyond its share they are not forwarded.
 */
export const MAX_KEPT_GOSSIP_BYTES: number = 16 * 1024 * 1024;
/** Their number, shared in the same way. */
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
  readonly #keptOf = new Map<RollupId, { bytes: number; transactions: number }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(config: GossipIntakeConfig) {
    this.#config = config;
  }

  get kept(): number {
    return this.#kept.size;
  }

  get keptBytes(): number {
    return this.#keptBytes;
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
    if (!this.#hasRoomFor(rollupId, transactions.length, bytes)) return 'ignore';
    const outcomes = await admission.admit(rollup, transactions);
    // Busy is no fault of the sender's, nor what a rollup asks beyond form; a transaction that no honest peer lets in is.
    const faults = outcomes.flatMap((outcome) => (outcome.ok ? [] : [outcome.error]));
    if (faults.some((fault) => !isNoFaultOfPeer(fault))) return 'reject';
    outcomes.forEach((outcome, i) => {
      if (!outcome.ok) return;
      const { hash, evm } = outcome.value;
      // By sender where there is one: a run of nonces that went to several lanes would be ordered out of sequence.
      const home = homeOf(evm?.sender ?? fromHex(hash), this.#config.place().validators);
      this.#take(rollupId, hash, transactions[i]!, home, now());
    });
    return faults.length > 0 ? 'ignore' : 'accept';
  }

  #take(rollupId: RollupId, hash: TransactionHash, transaction: Uint8Array, home: ValidatorIndex, nowMs: number): void {
    const { place, take, takeoverMs } = this.#config;
    const { self } = place();
    if (self === undefined || this.#kept.has(hash)) return;
    if (home === self && take(rollupId, hash, transaction)) return;
    // Others may have come while this one was checked. Its home has it.
    if (!this.#hasRoomFor(rollupId, 1, transaction.length)) return;
    this.#kept.set(hash, { rollupId, transaction, dueAtMs: nowMs + takeoverMs });
    this.#count(rollupId, 1, transaction.length);
    this.#timer ??= this.#checkLater();
  }

  #hasRoomFor(rollupId: RollupId, transactions: number, bytes: number): boolean {
    const own = this.#keptOf.get(rollupId) ?? { bytes: 0, transactions: 0 };
    return (
      isWithinShare(MAX_KEPT_GOSSIP_BYTES, this.#keptBytes, own.bytes, bytes) &&
      isWithinShare(MAX_KEPT_GOSSIP_TRANSACTIONS, this.#kept.size, own.transactions, transactions)
    );
  }

  #count(rollupId: RollupId, transactions: number, bytes: number): void {
    const own = this.#keptOf.get(rollupId) ?? { bytes: 0, transactions: 0 };
    own.bytes += bytes;
    own.transactions += transactions;
    this.#keptBytes += bytes;
    if (own.transactions > 0) this.#keptOf.set(rollupId, own);
    else this.#keptOf.delete(rollupId);
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
    const withoutRoom = new Set<RollupId>();
    for (const [hash, { rollupId, transaction, dueAtMs }] of this.#kept) {
      if (dueAtMs > now()) break;
      if (withoutRoom.has(rollupId)) continue;
      const ordered = await isOrdered(hash);
      if (this.#timer === undefined) return; // stopped
      if (!ordered && !take(rollupId, hash, transaction)) {
        withoutRoom.add(rollupId); // tried again
        continue;
      }
      this.#kept.delete(hash);
      this.#count(rollupId, -1, -transaction.length);
    }
  }
}

function isNoFaultOfPeer({ code, byPolicy }: Rejection): boolean {
  return code === 'ADMISSION_BUSY' || byPolicy === true;
}

function homeOf(key: Uint8Array, validators: number): ValidatorIndex {
  return new DataView(key.buffer, key.byteOffset + key.length - 4).getUint32(0) % validators;
}
