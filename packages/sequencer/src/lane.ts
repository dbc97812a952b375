/**
 * Station 4: the own lane (R1, R2). Transactions in, sealed and signed batches out: at once when nothing is on its way, else
 * at a size or an age, whichever is first. When as many batches as a lane may have are unordered, or as many bytes on their way to the others, transactions
 * wait here, up to a bound; beyond it the lane is full and says so. What was taken in is never dropped.
 */

import { bodyRoot, type NodeKey, signBatchHeader } from '@squad/crypto';
import { sha256 } from '@squad/crypto/node';
import {
  type Batch,
  type BatchHeader,
  type Bytes32,
  batchDigest,
  type Epoch,
  encodeBatch,
  encodeBody,
  HASH_PREFIX_BYTES,
  type LaneSeq,
  MAX_BUNDLE_BATCHES,
  MAX_UNORDERED_BATCHES_PER_LANE,
  type RollupId,
  type TransactionHash,
  type UnixMs,
  type ValidatorIndex,
} from '@squad/types';
import type { StoredBatch } from './actor.ts';
import type { LaneSizes } from './sizes.ts';
import { WaitingLines } from './waiting-lines.ts';

/**
 * Bytes of bodies that are sealed and not yet held by a quorum, beyond which no more is sealed: what waits between here and
 * the others' disks delays every block that orders it, and the votes of those who miss it.
 */
export const MAX_LANE_BYTES_IN_FLIGHT: number = 512 * 1024;

/** Told once the batch is durable: where in the lane the transaction stands; `seq` undefined: given up, it never will (R22). */
export type OnPlaced = (seq: LaneSeq | undefined, transactionIndex: number) => void;

export interface SealedBatch extends Required<StoredBatch> {
  readonly hashes: readonly TransactionHash[];
  /** How each of them begins, as `HashPrefixes` has it. */
  readonly hashPrefixes: Uint8Array;
  /** Of each transaction, where somebody wants to be told. */
  readonly onPlaced: readonly (OnPlaced | undefined)[];
}

export interface LaneConfig {
  readonly networkId: Bytes32;
  readonly epoch: Epoch;
  readonly author: ValidatorIndex;
  readonly key: Pick<NodeKey, 'sign'>;
  readonly batchBytes: number;
}

/** One transaction of a bundle. */
export interface BundleMember {
  readonly rollupId: RollupId;
  readonly hash: TransactionHash;
  readonly transaction: Uint8Array;
  readonly onPlaced: OnPlaced | undefined;
}

interface Waiting extends Omit<BundleMember, 'rollupId'> {
  readonly rest?: readonly BundleMember[];
}

export class Lane {
  readonly #config: LaneConfig;
  #nextSeq: LaneSeq;
  #lastDigest: Bytes32;
  /** Sealed and not final yet. */
  #unordered: number;
  /** Sealed, and not held by a quorum as far as is known; oldest first. */
  readonly #inFlight: { readonly seq: LaneSeq; readonly bytes: number }[] = [];
  #bytesInFlight = 0;
  #waiting = new WaitingLines<Waiting>();

  /** Goes on after the last own batch that was ever made durable. */
  constructor(config: LaneConfig, head: { nextSeq: LaneSeq; lastDigest: Bytes32; unordered: number }) {
    this.#config = config;
    this.#nextSeq = head.nextSeq;
    this.#lastDigest = head.lastDigest;
    this.#unordered = head.unordered;
  }

  get unordered(): number {
    return this.#unordered;
  }

  /** Whether it may seal no more until something is ordered, or held by a quorum. */
  get isFull(): boolean {
    return this.#unordered >= MAX_UNORDERED_BATCHES_PER_LANE || this.#bytesInFlight >= MAX_LANE_BYTES_IN_FLIGHT;
  }

  get waitingTransactions(): number {
    return this.#waiting.transactions;
  }

  get sizes(): LaneSizes {
    const { bytes, transactions } = this.#waiting;
    return {
      unordered: this.#unordered,
      bytesInFlight: this.#bytesInFlight,
      waitingBytes: bytes,
      waitingTransactions: transactions,
    };
  }

  /** What waits of one rollup. */
  waitingOf(rollupId: RollupId): { readonly bytes: number; readonly transactions: number } {
    return this.#waiting.of(rollupId);
  }

  /** Whether this much more of a rollup may be taken in. */
  hasRoomFor(rollupId: RollupId, transactions: number, bytes: number): boolean {
    return this.#waiting.hasRoomFor(rollupId, transactions, bytes);
  }

  add(rollupId: RollupId, hash: TransactionHash, transaction: Uint8Array, onPlaced?: OnPlaced): void {
    this.#waiting.add(rollupId, { hash, transaction, onPlaced });
  }

  /** Waits in the line of its first rollup, and counts there as a whole. */
  addBundle([{ rollupId, ...first }, ...rest]: readonly [BundleMember, ...BundleMember[]]): void {
    this.#waiting.add(rollupId, rest.length === 0 ? first : { ...first, rest });
  }

  /** Takes what waits in the lane of the epoch before, which seals no more. */
  takeOver(before: Lane): void {
    this.#waiting = before.#waiting;
  }

  /** Seals all that waits, whatever the lane's limits: this node will have no lane any more, and gives it away (R22). */
  sealRest(nowMs: UnixMs): SealedBatch[] {
    return this.#sealWithin(() => MAX_BUNDLE_BATCHES, nowMs);
  }

  /** A batch of the epoch before that was not ordered gets its place in this lane, whatever the lane's limits (R22). Bundles stay so. */
  reseal({ signed: { header }, body }: Batch): Required<StoredBatch> {
    return this.#place(body, header);
  }

  /**
   * Whether to seal at once makes more sense than to wait for the age: there is a body's worth of transactions, or a quorum holds
   * all that was sealed before, so that nothing keeps this one from being ordered next.
   */
  get isWorthSealing(): boolean {
    return this.#waiting.bytes >= this.#config.batchBytes || this.#inFlight.length === 0;
  }

  /** Seals what waits, as far as the lane's limits allow. */
  seal(nowMs: UnixMs): SealedBatch[] {
    return this.#sealWithin(() => (this.isFull ? 0 : MAX_UNORDERED_BATCHES_PER_LANE - this.#unordered), nowMs);
  }

  /** This many own batches became final, the last of them at `seq`. */
  ordered(batches: number, seq: LaneSeq): void {
    this.#unordered = Math.max(0, this.#unordered - batches);
    this.acknowledged(seq);
  }

  /** A quorum holds the own lane up to `seq`. */
  acknowledged(seq: LaneSeq): void {
    const held = this.#inFlight.findIndex((batch) => batch.seq > seq);
    for (const { bytes } of this.#inFlight.splice(0, held === -1 ? this.#inFlight.length : held)) {
      this.#bytesInFlight -= bytes;
    }
  }

  /** `room`: batches that may be sealed at the moment. */
  #sealWithin(room: () => number, nowMs: UnixMs): SealedBatch[] {
    const sealed: SealedBatch[] = [];
    for (let left = room(); left > 0; left = room()) {
      const taken = this.#waiting.take(this.#config.batchBytes, left);
      if (!taken) break;
      const { rollupId, entries } = taken;
      const rest = entries[0]!.rest ?? [];
      sealed.push(this.#sealOne(rollupId, entries, nowMs, rest.length > 0));
      for (const [i, member] of rest.entries()) {
        sealed.push(this.#sealOne(member.rollupId, [member], nowMs, i + 1 < rest.length));
      }
    }
    return sealed;
  }

  #sealOne(rollupId: RollupId, taken: readonly Waiting[], createdAtMs: UnixMs, joinsNext: boolean): SealedBatch {
    const body = encodeBody(taken.map(({ transaction }) => transaction));
    const transactionCount = taken.length;
    const content = { rollupId, bodyRoot: bodyRoot(body, sha256), transactionCount, createdAtMs, joinsNext };
    const hashes = taken.map(({ hash }) => hash);
    return {
      ...this.#place(body, content),
      hashes,
      hashPrefixes: prefixesOf(hashes),
      onPlaced: taken.map(({ onPlaced }) => onPlaced),
    };
  }

  /** The next batch of the lane, signed. */
  #place(
    body: Uint8Array,
    content: Pick<BatchHeader, 'rollupId' | 'bodyRoot' | 'transactionCount' | 'createdAtMs' | 'joinsNext'>,
  ): Required<StoredBatch> {
    const { networkId, epoch, author, key } = this.#config;
    const { rollupId, bodyRoot: root, transactionCount, createdAtMs, joinsNext } = content;
    const signed = signBatchHeader(
      {
        networkId,
        epoch,
        author,
        seq: this.#nextSeq,
        previousDigest: this.#lastDigest,
        rollupId,
        bodyRoot: root,
        byteLength: body.length,
        transactionCount,
        createdAtMs,
        joinsNext,
      },
      key,
    );
    const digest = batchDigest(signed.header);
    this.#inFlight.push({ seq: this.#nextSeq, bytes: body.length });
    this.#bytesInFlight += body.length;
    this.#nextSeq++;
    this.#lastDigest = digest;
    this.#unordered++;
    return { batch: { signed, body }, digest, encoded: encodeBatch({ signed, body }) };
  }
}

function prefixesOf(hashes: readonly TransactionHash[]): Uint8Array {
  // One native call for all of them.
  const digits = hashes.map((hash) => hash.slice(2, 2 + 2 * HASH_PREFIX_BYTES)).join('');
  return new Uint8Array(Buffer.from(digits, 'hex'));
}
