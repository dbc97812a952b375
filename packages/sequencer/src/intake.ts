/** From clients to the spread batch: admission (station 2), the own lane (4), durability, and the word to the clients. */

import { TokenBucket } from '@squad/service';
import {
  type GenesisRollup,
  type LaneSeq,
  MAX_TRANSACTION_BYTES,
  type RollupId,
  type TransactionHash,
} from '@squad/types';
import type { StoredBatch } from './actor.ts';
import type { Admission } from './admission/admission.ts';
import { alreadyKnown, laneFull, notReady, type Rejection, rollupRateExceeded } from './admission/rejection.ts';
import type { Lane, OnPlaced } from './lane.ts';
import type { LanePlaces, SubmitOutcome } from './rpc/api.ts';
import type { SequencerMetrics } from './sequencer-metrics.ts';
import type { Transactions } from './transactions.ts';

const NO_LANE = 'it follows and has no lane of its own';
/** What a client whom the lane has no room for should wait. */
const LANE_RETRY_AFTER_MS = 100;
/** Milliseconds for which a full lane may wait for an order before new clients are told why there is none. */
const STUCK_AFTER_MS = 2_000;

export interface IntakeConfig {
  readonly rollups: readonly GenesisRollup[];
  readonly admission: Admission;
  readonly transactions: Transactions;
  readonly metrics: SequencerMetrics;
  readonly now: () => number;
  readonly batchAgeMs: number;
  /** Resolves once the batch is durable here. */
  readonly store: (batch: StoredBatch) => Promise<void>;
  /** Sends a durable batch to the other validators. */
  readonly spread: (batch: StoredBatch, hashPrefixes: Uint8Array) => void;
  /** Why nothing is ordered at present; empty if it is. */
  readonly notReadyReasons: () => readonly string[];
}

export class Intake {
  readonly #config: IntakeConfig;
  /** Of rollups whose bytes the genesis file bounds. */
  readonly #rates = new Map<RollupId, { readonly perSecond: number; readonly bucket: TokenBucket }>();
  /** Undefined for a node that only follows. */
  #lane: Lane | undefined;
  /** Between two epochs nothing is sealed. */
  #isHeld = false;
  #sealTimer: NodeJS.Timeout | undefined;
  /** When own batches were last ordered. */
  #orderedAtMs = Number.NEGATIVE_INFINITY;

  constructor(config: IntakeConfig, lane: Lane | undefined) {
    this.#config = config;
    this.#lane = lane;
    for (const { rollupId, maxBytesPerSecond: perSecond, maxTransactionBytes } of config.rollups) {
      if (perSecond === undefined) continue;
      // The largest transaction has to fit in, and is paid for in full.
      const burst = Math.max(perSecond, maxTransactionBytes ?? MAX_TRANSACTION_BYTES);
      this.#rates.set(rollupId, { perSecond, bucket: new TokenBucket({ perSecond, burst }, config.now()) });
    }
  }

  /** The epoch ends (R22): nothing more is sealed; nothing more taken in either, if this node will have no lane. */
  hold(hasLaneAfterwards: boolean): void {
    this.#isHeld = true;
    if (!hasLaneAfterwards) this.#lane = undefined;
  }

  /** The next epoch has begun. What waits goes into the new lane. */
  changeLane(lane: Lane | undefined): void {
    if (this.#lane) lane?.takeOver(this.#lane);
    this.#lane = lane;
    this.#isHeld = false;
    if (lane && lane.waitingTransactions > 0) this.seal();
  }

  /** A transaction is accepted only once the batch that holds it survives a crash of this node. */
  async submit(
    rollupId: RollupId,
    transactions: readonly Uint8Array[],
    onPlaced?: (places: readonly LanePlaces[]) => void,
  ): Promise<readonly SubmitOutcome[]> {
    const { rollups, admission, metrics } = this.#config;
    const lane = this.#lane;
    if (!lane) return transactions.map(() => rejected(notReady([NO_LANE])));
    const rollup = rollups.find((known) => known.rollupId === rollupId)!;
    const bytes = transactions.reduce((sum, transaction) => sum + transaction.length, 0);
    const noRoom = this.#noRoom(lane, rollupId, transactions.length, bytes);
    if (noRoom) {
      metrics.laneFull.increment();
      return transactions.map(() => rejected(noRoom));
    }
    // With room in the lane it is durable at once and ordered when it can be; without, its sender would wait for ever.
    const isStuck = lane.isFull && this.#config.now() - this.#orderedAtMs > STUCK_AFTER_MS;
    const reasons = isStuck ? this.#config.notReadyReasons() : [];
    if (reasons.length > 0) return transactions.map(() => rejected(notReady(reasons)));
    const admitted = await admission.admit(rollup, transactions);
    const waiter = new Waiter();
    const outcomes = admitted.map((outcome, i): SubmitOutcome => {
      if (!outcome.ok) return rejected(outcome.error);
      const { hash } = outcome.value;
      // One that is final may come again: its rollup may have skipped it, for a nonce that came too early, say.
      if (this.#config.transactions.isWaiting(hash)) return rejected(alreadyKnown());
      const notAdded = this.#add(rollupId, hash, transactions[i]!, waiter.onPlaced);
      if (notAdded) return rejected(notAdded);
      waiter.missing++;
      return { accepted: true, hash };
    });
    const places = await waiter.durable();
    if (places.length > 0) onPlaced?.(places);
    return outcomes;
  }

  /** Takes a checked transaction into the lane unless it is known; false if there is no room. */
  take(rollupId: RollupId, hash: TransactionHash, transaction: Uint8Array): boolean {
    return this.#config.transactions.has(hash) || !this.#add(rollupId, hash, transaction);
  }

  /** Why a rollup may not have this much more in the lane; undefined if it may. */
  #noRoom(lane: Lane, rollupId: RollupId, transactions: number, bytes: number): Rejection | undefined {
    if (!lane.hasRoomFor(rollupId, transactions, bytes)) {
      return laneFull(rollupId, lane.waitingOf(rollupId), LANE_RETRY_AFTER_MS);
    }
    const rate = this.#rates.get(rollupId);
    const waitMs = rate?.bucket.wait(bytes, this.#config.now()) ?? 0;
    return rate && waitMs > 0 ? rollupRateExceeded(rollupId, rate.perSecond, waitMs) : undefined;
  }

  /** Why it was not added; undefined if it was. */
  #add(rollupId: RollupId, hash: TransactionHash, transaction: Uint8Array, onPlaced?: OnPlaced): Rejection | undefined {
    const { transactions, batchAgeMs, now } = this.#config;
    const lane = this.#lane;
    if (!lane) return notReady([NO_LANE]);
    const noRoom = this.#noRoom(lane, rollupId, 1, transaction.length);
    if (noRoom) return noRoom;
    this.#rates.get(rollupId)?.bucket.take(transaction.length, now());
    transactions.accept(hash, rollupId);
    lane.add(rollupId, hash, transaction, onPlaced);
    if (lane.isWorthSealing) this.seal();
    else this.#sealTimer ??= setTimeout(() => this.seal(), batchAgeMs);
    return undefined;
  }

  /** Seals what the lane's limit allows. */
  seal(): void {
    clearTimeout(this.#sealTimer);
    this.#sealTimer = undefined;
    if (this.#isHeld) return;
    const { transactions, now, store, spread, metrics } = this.#config;
    for (const { batch, digest, hashes, hashPrefixes, onPlaced } of this.#lane?.seal(now()) ?? []) {
      const { seq, rollupId } = batch.signed.header;
      transactions.sealed(seq, rollupId, hashes);
      void store({ batch, digest }).then(() => {
        // R20: durable before it is spread, and before its clients are told.
        spread({ batch, digest }, hashPrefixes);
        metrics.sealed(batch);
        for (const [i, tell] of onPlaced.entries()) tell?.(seq, i);
      });
    }
  }

  /** Own batches became final, the last of them at `seq`: there is room in the lane for what waits. */
  ordered(batches: number, seq: LaneSeq): void {
    const lane = this.#lane;
    if (!lane || batches === 0) return;
    this.#orderedAtMs = this.#config.now();
    lane.ordered(batches, seq);
    if (lane.waitingTransactions > 0) this.seal();
  }

  /** A quorum holds the own lane up to `seq`: more may be on its way. */
  acknowledged(seq: LaneSeq): void {
    const lane = this.#lane;
    if (!lane) return;
    const wasFull = lane.isFull;
    lane.acknowledged(seq);
    if (wasFull && lane.waitingTransactions > 0) this.seal();
  }

  stop(): void {
    this.seal();
  }
}

/** A call of `submit` that waits for its transactions to be durable. */
class Waiter {
  missing = 0;
  /** Where those that are durable stand, in the order of the lane. */
  readonly #places: { seq: LaneSeq; transactionIndex: number; count: number }[] = [];
  #resolve: (() => void) | undefined;

  readonly onPlaced: OnPlaced = (seq, transactionIndex) => {
    const last = this.#places.at(-1);
    if (last?.seq === seq && last.transactionIndex + last.count === transactionIndex) last.count++;
    else this.#places.push({ seq, transactionIndex, count: 1 });
    this.missing--;
    if (this.missing === 0) this.#resolve?.();
  };

  async durable(): Promise<readonly LanePlaces[]> {
    if (this.missing > 0) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
    }
    return this.#places.sort((a, b) => a.seq - b.seq);
  }
}

function rejected(rejection: Rejection): SubmitOutcome {
  return { accepted: false, rejection };
}
