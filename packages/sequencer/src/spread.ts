/**
 * Station 5: batches between validators. Own ones go out once they are durable, and again to who has not acknowledged
 * them; others' are checked, stored, and acknowledged once they are durable here (R3 to R5).
 */

import { verifyBatch } from '@squad/crypto/node';
import type { Network } from '@squad/network';
import type { Logger } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import {
  type Acknowledgement,
  type Bytes32,
  batchDigest,
  decodeBatch,
  encodeValidatorMessage,
  equalBytes,
  type LaneFork,
  type LaneSeq,
  quorumWeight,
  type RollupId,
  type SignedBatchHeader,
  toHex,
  totalWeight,
  type ValidatorIndex,
  type ValidatorMessage,
  type ValidatorSet,
} from '@squad/types';
import type { Actor, StoredBatch } from './actor.ts';
import { type HashPrefixes, isPlausible } from './hash-prefixes.ts';
import type { HeldLanes } from './held-lanes.ts';
import type { SequencerMetrics } from './sequencer-metrics.ts';

/** Own batches sent again to one peer at a time, when it has not acknowledged them. */
export const MAX_BATCHES_RESENT = 8;
/** Milliseconds between looks at what peers have not acknowledged. */
const RESEND_INTERVAL_MS = 500;
/** Milliseconds for which a peer may acknowledge nothing of what it was sent before it is sent that again. */
export const RESEND_AFTER_MS = 1_000;
/** The same at most: it doubles each time, or a set with too much to do would do nothing but send and receive again. */
export const MAX_RESEND_AFTER_MS = 16_000;
/** Milliseconds between two acknowledgements, but for the first after a while, which leaves at once. */
export const ACKNOWLEDGE_INTERVAL_MS = 25;

export interface SpreadConfig {
  readonly networkId: Bytes32;
  readonly validatorSet: ValidatorSet;
  /** Of the genesis file. */
  readonly rollupIds: ReadonlySet<RollupId>;
  readonly self: ValidatorIndex | undefined;
  readonly lanes: HeldLanes;
  readonly actor: Pick<Actor, 'storeBatch' | 'whenDurable'>;
  readonly store: Pick<NodeStore, 'readBatch'>;
  readonly network: () => Pick<Network, 'send' | 'connectedValidators'>;
  readonly hashPrefixes: HashPrefixes;
  readonly metrics: SequencerMetrics;
  readonly logger: Logger;
  readonly now: () => number;
  /** A quorum holds the own lane up to this batch. */
  readonly onHeldByQuorum: (seq: LaneSeq) => void;
  /** In [0, 1), not to be foreseen. */
  readonly random: () => number;
  readonly blame: (peer: ValidatorIndex, reason: string) => void;
  readonly onEvidence: (evidence: LaneFork) => void;
}

type BatchMessage = Omit<Extract<ValidatorMessage, { type: 'batch' }>, 'type'>;

export class Spread {
  readonly #config: SpreadConfig;
  /** When a peer last acknowledged something new or was sent something again, and for how long it may then be silent. */
  readonly #progress = new Map<ValidatorIndex, { readonly atMs: number; readonly patienceMs: number }>();
  /** By author and seq: the batch that is on its way into the store, and in no lane yet. */
  readonly #storing = new Map<string, Pick<StoredBatch, 'digest'> & { readonly signed: SignedBatchHeader }>();
  /** When a peer was last told anew of its own lane. */
  readonly #toldAgainAtMs = new Map<ValidatorIndex, number>();
  #resendTimer: NodeJS.Timeout | undefined;
  /** Authors whose lanes have moved since the last acknowledgement. */
  readonly #moved = new Set<ValidatorIndex>();
  #acknowledgeTimer: NodeJS.Timeout | undefined;
  /** Whether any author and any leader together are enough for the leader to order what both hold (R10). */
  readonly #twoSuffice: boolean;
  /** The epoch is over: its places are others' now, or nobody's, and nothing that was under way may name them. */
  #isStopped = false;

  constructor(config: SpreadConfig) {
    this.#config = config;
    const { validatorSet } = config;
    const total = totalWeight(validatorSet);
    const [lightest = 0, next = 0] = validatorSet.validators.map(({ weight }) => weight).sort((a, b) => a - b);
    this.#twoSuffice = lightest + next > total - quorumWeight(total);
  }

  start(): void {
    this.#resendTimer = setInterval(() => {
      for (const peer of this.#config.network().connectedValidators) this.#resendTo(peer);
    }, RESEND_INTERVAL_MS);
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#resendTimer);
    clearTimeout(this.#acknowledgeTimer);
  }

  /** To all others; it must be durable. One of an epoch that is over is sealed anew, and goes out then. */
  send({ batch, digest, encoded }: StoredBatch, hashPrefixes?: Uint8Array): void {
    if (batch.signed.header.epoch !== this.#config.validatorSet.epoch) return;
    if (hashPrefixes) this.#config.hashPrefixes.keep(toHex(digest), hashPrefixes);
    const message = {
      type: 'batch',
      batch,
      ...(encoded && { encoded }),
      ...(hashPrefixes && { hashPrefixes }),
    } as const;
    this.#config.network().send('all', 'data', encodeValidatorMessage(message));
  }

  /** The receiving end. */
  onBatch(from: ValidatorIndex, { batch, encoded, hashPrefixes: prefixes }: BatchMessage): void {
    const { networkId, validatorSet, rollupIds, lanes, actor, blame, hashPrefixes, random } = this.#config;
    const { header } = batch.signed;
    if (this.#isStopped || header.epoch !== validatorSet.epoch) return; // of other lanes
    if (header.author !== from) return blame(from, `sent a batch of validator ${header.author} as its own`);
    if (!rollupIds.has(header.rollupId)) {
      return blame(from, `sent a batch of rollup ${header.rollupId}, which this network does not order`);
    }
    // What is held or not wanted costs no check: a sender that hears too late is sent for again just when all are busy.
    const digest = batchDigest(header);
    const standing = lanes.standing(header, digest);
    if (standing === 'outside') return;
    if (standing === 'known') return this.#acknowledgeAgain(from);
    const place = `${from}/${header.seq}`;
    const first = this.#storing.get(place);
    if (first && equalBytes(first.digest, digest)) return;
    const checked = verifyBatch(batch, validatorSet.validators[from]!.nodePublicKey, networkId);
    if (!checked.ok) return blame(from, `sent a batch that is not good: ${checked.error.reason}`);
    // An author makes as many as it likes of a place: beside the first, only what a block orders is stored, when it is fetched.
    if (standing === 'equivocation' || first) return this.#recordFork(batch.signed, first?.signed);
    this.#storing.set(place, { signed: batch.signed, digest });
    void actor.storeBatch({ batch, digest, ...(encoded && { encoded }) }).then(() => this.#storing.delete(place));
    if (prefixes === undefined) return;
    if (isPlausible(batch.body, prefixes, random())) hashPrefixes.keep(toHex(digest), prefixes);
    else blame(from, 'told hashes that are not those of its transactions');
  }

  onAcknowledgements(from: ValidatorIndex, acknowledgements: readonly Acknowledgement[]): void {
    const { self, lanes, now } = this.#config;
    if (self === undefined) return;
    if (!lanes.acknowledged(from, self, acknowledgements)) return;
    this.#progress.set(from, { atMs: now(), patienceMs: RESEND_AFTER_MS });
    const next = this.#heldByQuorum(self);
    if (next > 0) this.#config.onHeldByQuorum(next - 1);
  }

  /** The end of the run of the own lane that a quorum, this node included, has acknowledged. */
  #heldByQuorum(self: ValidatorIndex): LaneSeq {
    const { validatorSet, lanes } = this.#config;
    const { validators } = validatorSet;
    const quorum = quorumWeight(totalWeight(validatorSet));
    const byProgress = [...validators.keys()]
      .map((peer) => ({ peer, next: peer === self ? Number.POSITIVE_INFINITY : lanes.ownAcknowledgedBy(peer) }))
      .sort((a, b) => b.next - a.next);
    let weight = 0;
    for (const { peer, next } of byProgress) {
      weight += validators[peer]!.weight;
      if (weight >= quorum) return next;
    }
    return 0;
  }

  onConnected(peer: ValidatorIndex): void {
    const { lanes, validatorSet } = this.#config;
    lanes.forgetAcknowledged(peer);
    this.#progress.delete(peer);
    this.#acknowledge([peer], validatorSet.validators.keys());
    this.#resendTo(peer);
  }

  /** R3: acknowledged once it survives a crash. Called when that is so. */
  onDurable(stored: readonly StoredBatch[], authors: readonly ValidatorIndex[]): void {
    this.#config.metrics.storedBatches.add(stored.length);
    // The other branch of a fork may have been fetched for a block that orders it.
    for (const { batch, digest } of stored) {
      const { header } = batch.signed;
      // The body of a final block of another epoch may have just come: its place is one in other lanes (R22).
      if (header.epoch !== this.#config.validatorSet.epoch) continue;
      if (this.#config.lanes.standing(header, digest) === 'equivocation') this.#recordFork(batch.signed);
    }
    for (const author of authors) this.#moved.add(author);
    // Many small batches would mean many more small acknowledgements.
    if (this.#moved.size > 0 && this.#acknowledgeTimer === undefined) this.#acknowledgeMoved();
  }

  #acknowledgeMoved(): void {
    this.#acknowledgeTimer = undefined;
    if (this.#moved.size === 0) return;
    // Any may lead, and has to hear of it from more than F. Where its own word and the author's are enough, only the author
    // has to hear: it seals more by it.
    if (!this.#twoSuffice) this.#sendAcknowledgements('all', this.#moved);
    else
      for (const author of this.#moved)
        if (author !== this.#config.self) this.#sendAcknowledgements([author], [author]);
    this.#moved.clear();
    // By then the lanes may show a batch whose sync is still under way.
    const again = () => this.#config.actor.whenDurable(() => this.#acknowledgeMoved());
    this.#acknowledgeTimer = setTimeout(again, ACKNOWLEDGE_INTERVAL_MS);
  }

  /** A peer that sends what is held did not hear of it: it is told, now and then. */
  #acknowledgeAgain(peer: ValidatorIndex): void {
    const { now } = this.#config;
    if (now() - (this.#toldAgainAtMs.get(peer) ?? Number.NEGATIVE_INFINITY) < ACKNOWLEDGE_INTERVAL_MS) return;
    this.#toldAgainAtMs.set(peer, now());
    this.#acknowledge([peer], [peer]);
  }

  /** What the lanes show may still be on its way to the disk: it is acknowledged behind the next sync. */
  #acknowledge(peers: readonly ValidatorIndex[], authors: Iterable<ValidatorIndex>): void {
    this.#config.actor.whenDurable(() => this.#sendAcknowledgements(peers, authors));
  }

  #sendAcknowledgements(to: 'all' | readonly ValidatorIndex[], authors: Iterable<ValidatorIndex>): void {
    const { self, validatorSet, lanes, network } = this.#config;
    if (self === undefined || this.#isStopped) return;
    const acknowledgements = lanes.acknowledgements(authors);
    if (acknowledgements.length === 0) return;
    const frame = encodeValidatorMessage({
      type: 'acknowledgements',
      epoch: validatorSet.epoch,
      acknowledgements,
    });
    if (to === 'all') network().send('all', 'consensus', frame);
    else for (const peer of to) network().send(peer, 'consensus', frame);
  }

  /** R5: the first seen is kept, both headers are the evidence. */
  #recordFork(second: SignedBatchHeader, under?: SignedBatchHeader): void {
    const { author, seq } = second.header;
    const first = this.#config.lanes.firstAt(author, seq) ?? under;
    if (!first) return;
    const { header, signature } = first;
    this.#config.onEvidence({ kind: 'E5', first: { header, signature }, second });
  }

  #resendTo(peer: ValidatorIndex): void {
    this.#resend(peer).catch((error: unknown) => {
      this.#config.logger.debug({ err: error, peer }, 'own batches were not sent again');
    });
  }

  /** What a peer lost or never got of the own lane. */
  async #resend(peer: ValidatorIndex): Promise<void> {
    const { self, lanes, store, now } = this.#config;
    if (self === undefined) return;
    const { atMs, patienceMs } = this.#progress.get(peer) ?? {
      atMs: Number.NEGATIVE_INFINITY,
      patienceMs: RESEND_AFTER_MS,
    };
    if (now() - atMs < patienceMs) return;
    let wasSent = false;
    for (const digest of lanes.unacknowledgedBy(peer, self, MAX_BATCHES_RESENT)) {
      const bytes = await store.readBatch(toHex(digest));
      const batch = bytes && decodeBatch(bytes);
      // A batch that was just sent gets its time to be acknowledged.
      if (!batch?.ok || now() - batch.value.signed.header.createdAtMs < RESEND_AFTER_MS) break;
      this.#config
        .network()
        .send(peer, 'data', encodeValidatorMessage({ type: 'batch', batch: batch.value, encoded: bytes! }));
      wasSent = true;
    }
    if (!wasSent) return;
    this.#progress.set(peer, { atMs: now(), patienceMs: Math.min(2 * patienceMs, MAX_RESEND_AFTER_MS) });
  }
}
