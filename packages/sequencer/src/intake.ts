/** From clients to the spread batch: admission (station 2), the own lane (4), durability, and the word to the clients. */

import { TokenBucket } from '@squad/service';
import {
  type GenesisRollup,
  type LaneSeq,
  MAX_BATCH_BODY_BYTES,
  MAX_TRANSACTION_BYTES,
  type RollupId,
  type TransactionHash,
} from '@squad/types';
import type { StoredBatch } from './actor.ts';
import type { Admission } from './admission/admission.ts';
import {
  alreadyKnown,
  bundleTooLarge,
  laneFull,
  noLane,
  notReady,
  type Rejection,
  rollupRateExceeded,
} from './admission/rejection.ts';
import type { BundleMember, Lane, OnPlaced, SealedBatch } from './lane.ts';
import type { Bundle, BundleOutcome, LanePlaces, SubmitOutcome } from './rpc/api.ts';
import type { SequencerMetrics } from './sequencer-metrics.ts';
import type { Transactions } from './transactions.ts';

/** What a client whom the lane has no room for should wait. */
const LANE_RETRY_AFTER_MS = 100;
/** Bytes of the transactions of one bundle: those of a batch body. */
export const MAX_BUNDLE_BYTES: number = MAX_BATCH_BODY_BYTES;
/** Milliseconds for which a full lane may wait for an order before new clients are told why there is none. */
const STUCK_AFTER_MS = 2_000;

export interface IntakeConfig {
  readonly rollups: readonly GenesisRollup[];
  readonly admission: Admission;
  readonly transactions: Transactions;
  readonly metrics: SequencerMetrics;
  readonly now: () => number;
  readonly batchAgeMs: number;
  /** Batches of one bundle, or one that is in none; resolves once they are durable here, all together. */
  readonly store: (batches: readonly StoredBatch[]) => Promise<void>;
  /** Sends a durable batch to the other validators. */
  readonly spread: (batch: StoredBatch, hashPrefixes: Uint8Array) => void;
  /** Why nothing is ordered at present; empty if it is. */
  readonly notReadyReasons: () => readonly string[];
}

interface LaneTransaction {
  readonly hash: TransactionHash;
  readonly transaction: Uint8Array;
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
  submit(
    rollupId: RollupId,
    transactions: readonly Uint8Array[],
    onPlaced?: (places: readonly LanePlaces[]) => void,
  ): Promise<readonly SubmitOutcome[]> {
    // Not async: such a function keeps its parameters while it waits, and what is sealed is needed no more.
    return this.#takeIn(rollupId, transactions).then(async ({ outcomes, waiter }) => {
      const places = await waiter.durable();
      if (places.length > 0) onPlaced?.(places);
      return outcomes;
    });
  }

  /** Checks the transactions of one rollup; those that are good go into the lane. */
  async #takeIn(
    rollupId: RollupId,
    transactions: readonly Uint8Array[],
  ): Promise<{ readonly outcomes: readonly SubmitOutcome[]; readonly waiter: Waiter }> {
    const { rollups, admission } = this.#config;
    const rollup = rollups.find((known) => known.rollupId === rollupId)!;
    const closed = this.#closedFor(rollupId, transactions.length, bytesOf(transactions));
    if (closed) return { outcomes: transactions.map(() => rejected(closed)), waiter: new Waiter(0) };
    const admitted = await admission.admit(rollup, transactions);
    const taken: LaneTransaction[] = [];
    let takenBytes = 0;
    const outcomes = admitted.map((outcome, i): SubmitOutcome => {
      if (!outcome.ok) return rejected(outcome.error);
      const { hash } = outcome.value;
      // One that is final may come again: its rollup may have skipped it, for a nonce that came too early, say.
      if (this.#config.transactions.isWaiting(hash)) return rejected(alreadyKnown());
      const transaction = transactions[i]!;
      const notTaken = this.#take(rollupId, hash, transaction, taken.length, takenBytes);
      if (notTaken) return rejected(notTaken);
      taken.push({ hash, transaction });
      takenBytes += transaction.length;
      return { accepted: true, hash };
    });
    const waiter = new Waiter(taken.length);
    // Those of a call are views of one piece of memory: a few of them must not keep all of it while they wait.
    const isPart = taken.length < transactions.length;
    for (const { hash, transaction } of taken) {
      this.#lane!.add(rollupId, hash, isPart ? transaction.slice() : transaction, waiter.onPlaced);
    }
    if (taken.length > 0) this.#sealSoon();
    return { outcomes, waiter };
  }

  /**
   * All or none: each transaction becomes a batch of its own, and a block orders all of them, one after the other, or none (R1).
   * There are 1 to `MAX_BUNDLE_BATCHES`, of rollups of the genesis file.
   */
  async submitBundle(bundle: Bundle): Promise<BundleOutcome> {
    const { rollups, admission, transactions } = this.#config;
    const bytes = bytesOf(bundle.map(({ transaction }) => transaction));
    if (bytes > MAX_BUNDLE_BYTES) return refusedAt(0, bundleTooLarge(bytes, MAX_BUNDLE_BYTES));
    const early = this.#bundleClosed(bundle);
    if (early) return early;
    const outcomes = await Promise.all(
      bundle.map(async ({ rollupId, transaction }) => {
        const rollup = rollups.find((known) => known.rollupId === rollupId)!;
        return (await admission.admit(rollup, [transaction]))[0]!;
      }),
    );
    const hashes: TransactionHash[] = [];
    for (const [index, outcome] of outcomes.entries()) {
      if (!outcome.ok) return refusedAt(index, outcome.error);
      const { hash } = outcome.value;
      if (transactions.isWaiting(hash) || hashes.includes(hash)) return refusedAt(index, alreadyKnown());
      hashes.push(hash);
    }
    const late = this.#bundleClosed(bundle);
    if (late) return late;
    const waiter = new Waiter(bundle.length);
    const members = bundle.map(({ rollupId, transaction }, i) => {
      const hash = hashes[i]!;
      this.#rates.get(rollupId)?.bucket.take(transaction.length, this.#config.now());
      transactions.accept(hash, rollupId);
      return { rollupId, hash, transaction, onPlaced: waiter.onPlaced };
    });
    this.#lane!.addBundle(members as [BundleMember, ...BundleMember[]]);
    this.#sealSoon();
    await waiter.durable();
    return waiter.isGivenUp ? refusedAt(undefined, noLane()) : { accepted: true, hashes };
  }

  /** Why nothing may come in of a bundle: its first rollup has to have the room, each the rate. */
  #bundleClosed(bundle: Bundle): BundleOutcome | undefined {
    const [first] = bundle;
    const all = bytesOf(bundle.map(({ transaction }) => transaction));
    const closed = this.#closedFor(first.rollupId, bundle.length, all, bytesOfRollup(bundle, first.rollupId));
    if (closed) return refusedAt(closed.code === 'NOT_READY' ? undefined : 0, closed);
    for (const [index, { rollupId }] of bundle.entries()) {
      const tooFast = this.#tooFast(rollupId, bytesOfRollup(bundle, rollupId));
      if (tooFast) return refusedAt(index, tooFast);
    }
    return undefined;
  }

  /** Why this much more of a rollup does not come in now; undefined if it does. `paid`: bytes of them that its rate counts. */
  #closedFor(rollupId: RollupId, transactions: number, bytes: number, paid = bytes): Rejection | undefined {
    const lane = this.#lane;
    if (!lane) return noLane();
    const noRoom = this.#noRoom(lane, rollupId, transactions, bytes, paid);
    if (noRoom) {
      this.#config.metrics.laneFull.increment();
      return noRoom;
    }
    // With room in the lane it is durable at once and ordered when it can be; without, its sender would wait for ever.
    const isStuck = lane.isFull && this.#config.now() - this.#orderedAtMs > STUCK_AFTER_MS;
    const reasons = isStuck ? this.#config.notReadyReasons() : [];
    return reasons.length > 0 ? notReady(reasons) : undefined;
  }

  /** Takes a checked transaction into the lane unless it is known; false if there is no room. */
  take(rollupId: RollupId, hash: TransactionHash, transaction: Uint8Array): boolean {
    if (this.#config.transactions.has(hash)) return true;
    if (this.#take(rollupId, hash, transaction)) return false;
    this.#lane!.add(rollupId, hash, transaction);
    this.#sealSoon();
    return true;
  }

  /** Why a rollup may not have this much more in the lane; undefined if it may. */
  #noRoom(lane: Lane, rollupId: RollupId, transactions: number, bytes: number, paid = bytes): Rejection | undefined {
    if (lane.hasRoomFor(rollupId, transactions, bytes)) return this.#tooFast(rollupId, paid);
    return laneFull(rollupId, lane.waitingOf(rollupId), LANE_RETRY_AFTER_MS);
  }

  #tooFast(rollupId: RollupId, bytes: number): Rejection | undefined {
    const rate = this.#rates.get(rollupId);
    const waitMs = rate?.bucket.wait(bytes, this.#config.now()) ?? 0;
    return rate && waitMs > 0 ? rollupRateExceeded(rollupId, rate.perSecond, waitMs) : undefined;
  }

  /** Why it may not go into the lane, beside `taken` others that are about to; undefined: it is to go there at once. */
  #take(
    rollupId: RollupId,
    hash: TransactionHash,
    { length }: Uint8Array,
    taken = 0,
    takenBytes = 0,
  ): Rejection | undefined {
    const { transactions, now } = this.#config;
    const lane = this.#lane;
    if (!lane) return noLane();
    const noRoom = this.#noRoom(lane, rollupId, taken + 1, takenBytes + length, length);
    if (noRoom) return noRoom;
    this.#rates.get(rollupId)?.bucket.take(length, now());
    transactions.accept(hash, rollupId);
    return undefined;
  }

  #sealSoon(): void {
    if (this.#lane?.isWorthSealing) this.seal();
    else this.#sealTimer ??= setTimeout(() => this.seal(), this.#config.batchAgeMs);
  }

  /** Seals what the lane's limit allows. */
  seal(): void {
    clearTimeout(this.#sealTimer);
    this.#sealTimer = undefined;
    if (this.#isHeld) return;
    const { transactions, now, store, spread, metrics } = this.#config;
    for (const bundle of inBundles(this.#lane?.seal(now()) ?? [])) {
      for (const { batch, hashes } of bundle) {
        const { seq, rollupId } = batch.signed.header;
        transactions.sealed(seq, rollupId, hashes);
      }
      void store(bundle).then(() => {
        // R20: durable before it is spread, and before its clients are told.
        for (const sealed of bundle) {
          spread(sealed, sealed.hashPrefixes);
          metrics.sealed(sealed.batch);
        }
        for (const { batch, onPlaced } of bundle) {
          for (const [i, tell] of onPlaced.entries()) tell?.(batch.signed.header.seq, i);
        }
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
  #missing: number;
  /** This node has no lane any more, and nobody else can order what waited there. */
  isGivenUp = false;
  /** Where those that are durable stand, in the order of the lane. */
  readonly #places: { seq: LaneSeq; transactionIndex: number; count: number }[] = [];
  #resolve: (() => void) | undefined;

  constructor(transactions: number) {
    this.#missing = transactions;
  }

  readonly onPlaced: OnPlaced = (seq, transactionIndex) => {
    const last = this.#places.at(-1);
    if (seq === undefined) this.isGivenUp = true;
    else if (last?.seq === seq && last.transactionIndex + last.count === transactionIndex) last.count++;
    else this.#places.push({ seq, transactionIndex, count: 1 });
    this.#missing--;
    if (this.#missing === 0) this.#resolve?.();
  };

  async durable(): Promise<readonly LanePlaces[]> {
    if (this.#missing > 0) {
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

function refusedAt(index: number | undefined, rejection: Rejection): BundleOutcome {
  return { accepted: false, index, rejection };
}

export function bytesOf(transactions: readonly Uint8Array[]): number {
  return transactions.reduce((sum, { length }) => sum + length, 0);
}

function bytesOfRollup(bundle: Bundle, rollupId: RollupId): number {
  return bytesOf(bundle.filter((member) => member.rollupId === rollupId).map(({ transaction }) => transaction));
}

/** Each bundle by itself, and each batch that is in none. */
function inBundles(batches: readonly SealedBatch[]): SealedBatch[][] {
  const bundles: SealedBatch[][] = [];
  let open = false;
  for (const sealed of batches) {
    if (open) bundles.at(-1)!.push(sealed);
    else bundles.push([sealed]);
    open = sealed.batch.signed.header.joinsNext;
  }
  return bundles;
}
