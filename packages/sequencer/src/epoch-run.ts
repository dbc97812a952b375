/**
 * What a sequencer has for one epoch and makes anew for the next (R22): the core, all lanes as they are held, the own lane,
 * and what talks with the validators of that epoch about them.
 */

import { Consensus, type ConsensusRecord, DEFAULT_CONSENSUS_OPTIONS, type EpochEndedRecord } from '@squad/consensus';
import { createVoteScheme, type VoteScheme } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import type { Network, NetworkValidator, PeerId } from '@squad/network';
import {
  type BatchDigest,
  type BatchRef,
  type Bytes32,
  batchDigest,
  decodeBatch,
  type Epoch,
  equalBytes,
  firstL1Anchor,
  genesisBlock,
  type Height,
  type LaneFork,
  type LaneSeq,
  lastHeightOf,
  quorumWeight,
  type SignedBatchHeader,
  toHex,
  totalWeight,
  type ValidatorIndex,
  type ValidatorSet,
  validatorSetHash,
  validatorSetOf,
  weightOf,
} from '@squad/types';
import type { Actor, Ordering, StoredBatch } from './actor.ts';
import { BatchFetcher } from './batch-fetcher.ts';
import { BlockFetcher } from './block-fetcher.ts';
import type { HandOn } from './hand-on.ts';
import type { HashPrefixes } from './hash-prefixes.ts';
import { HeadFollower } from './head-follower.ts';
import { HeldLanes } from './held-lanes.ts';
import { Lane } from './lane.ts';
import { heldBatch } from './records.ts';
import type { SequencerParts } from './sequencer-parts.ts';
import { Spread } from './spread.ts';

/** Milliseconds between two looks at whether anything becomes final. */
const DOUBT_INTERVAL_MS = 1_000;
/** Milliseconds without a final block after which a node asks whether the epoch is over; with slow heartbeats later. */
const MIN_DOUBT_MS = 2_000;

export interface NetworkSet {
  readonly validators: NetworkValidator[];
  /** All that the genesis file and the schedule name, for whichever epoch. */
  readonly otherValidators: NetworkValidator[];
  readonly self: ValidatorIndex | undefined;
}

export interface EpochRunConfig {
  readonly parts: SequencerParts;
  readonly validatorSet: ValidatorSet;
  readonly startedBy: EpochEndedRecord | undefined;
  /** What was recorded since the epoch began. */
  readonly records: readonly ConsensusRecord[];
  /** Batches of the epoch that are held and may not be ordered. */
  readonly batches: readonly SignedBatchHeader[];
  readonly handOn: HandOn;
  readonly actor: () => Pick<Actor, 'submit' | 'storeBatch' | 'storeFinalBatch' | 'whenDurable'>;
  readonly network: () => Network;
  readonly hashPrefixes: HashPrefixes;
  readonly onHeldByQuorum: (seq: LaneSeq) => void;
  readonly onEvidence: (evidence: LaneFork) => void;
  readonly blame: (peer: ValidatorIndex | PeerId, reason: string) => void;
}

export class EpochRun implements Ordering {
  readonly epoch: Epoch;
  readonly validatorSet: ValidatorSet;
  readonly self: ValidatorIndex | undefined;
  readonly startedBy: EpochEndedRecord | undefined;
  readonly scheme: VoteScheme;
  readonly core: Consensus;
  readonly lanes: HeldLanes;
  /** The own lane. */
  readonly lane: Lane | undefined;
  readonly spread: Spread;
  readonly batches: BatchFetcher;
  /** For batches of final blocks, of whichever epoch. */
  readonly finalBatches: BatchFetcher;
  readonly blocks: BlockFetcher;
  /** Of a node that does not validate the epoch. */
  readonly follower: HeadFollower | undefined;
  readonly #config: EpochRunConfig;
  #isOver = false;
  #lastFinal: { readonly height: Height; readonly atMs: number };
  #doubtTimer: NodeJS.Timeout | undefined;

  constructor(config: EpochRunConfig) {
    const { parts, validatorSet, startedBy, network, hashPrefixes } = config;
    const { genesis, store, logger, now } = parts;
    const { networkId } = genesis;
    const place = parts.placeIn(validatorSet);
    const self = place?.self;
    this.#config = config;
    this.validatorSet = validatorSet;
    this.epoch = validatorSet.epoch;
    this.self = self;
    this.startedBy = startedBy;
    this.scheme =
      parts.createScheme?.(validatorSet, self) ?? createVoteScheme(blstBls, validatorSet, place?.blsSecretKey);
    const { genesisTimeMs, epochLengthBlocks } = genesis.file;
    this.core = new Consensus(
      {
        networkId,
        genesisTimeMs,
        l1Anchor: firstL1Anchor(genesis.file),
        validatorSet,
        self,
        scheme: this.scheme,
        options: {
          ...DEFAULT_CONSENSUS_OPTIONS,
          heartbeatMs: parts.heartbeatMs,
          blockIntervalMs: parts.blockIntervalMs,
          ...(parts.anchorDelayMs === undefined ? {} : { anchorDelayMs: parts.anchorDelayMs }),
        },
        epoch: {
          startsAfter: startedBy?.block ?? genesisBlock(networkId, genesisTimeMs),
          proof: startedBy?.proof,
          lastHeight: lastHeightOf(validatorSet.epoch, epochLengthBlocks),
          nextValidatorSet: () => this.#nextValidatorSet(),
        },
      },
      now(),
      config.records,
    );
    this.#lastFinal = { height: this.core.status.finalHeight, atMs: now() };
    this.lanes = new HeldLanes(validatorSet.validators.length);
    for (const author of validatorSet.validators.keys()) {
      const { nextSeq, lastDigest } = this.core.laneTip(author);
      this.lanes.setFinalTip(author, nextSeq, lastDigest);
    }
    for (const signed of config.batches) this.#hold(signed, batchDigest(signed.header));
    if (self !== undefined) {
      const { nodeKey: key, batchBytes } = parts;
      this.lane = new Lane({ networkId, epoch: this.epoch, author: self, key, batchBytes }, this.lanes.head(self));
    }
    // What was asked of a validator of this epoch and comes later is no matter of who stands in its place then.
    const blame = (peer: ValidatorIndex | PeerId, reason: string) => {
      if (!this.#isOver) config.blame(peer, reason);
    };
    const isHeld = (digest: BatchDigest) => store.hasBatch(digest);
    const fetching = { networkId, self, network, isHeld, blame, logger };
    this.batches = new BatchFetcher({
      ...fetching,
      validatorSet,
      store: (batch) => config.actor().storeBatch(batch),
    });
    this.finalBatches = new BatchFetcher({
      ...fetching,
      validatorSet: undefined,
      store: (batch) => config.actor().storeFinalBatch(batch),
    });
    this.blocks = new BlockFetcher({
      validators: validatorSet.validators.length,
      network,
      submit: (input) => {
        if (!this.#isOver) config.actor().submit(input);
      },
      blame,
      logger,
    });
    if (self === undefined) {
      this.follower = new HeadFollower({
        validatorSet,
        blocks: this.blocks,
        head: () => this.core.status.finalHeight,
        taken: () => new Promise((resolve) => config.actor().whenDurable(resolve)),
        // Blocks that were found and not taken: the epoch may be over, and who validates the next one not known here (R22).
        onNothingTaken: () => {
          if (!this.#isOver) config.actor().submit({ type: 'laterEpoch' });
        },
        now,
      });
    }
    this.spread = new Spread({
      networkId,
      validatorSet,
      rollupIds: new Set(genesis.file.rollups.map(({ rollupId }) => rollupId)),
      self,
      lanes: this.lanes,
      actor: {
        storeBatch: (batch) => config.actor().storeBatch(batch),
        whenDurable: (done) => config.actor().whenDurable(done),
      },
      store,
      network,
      hashPrefixes,
      onHeldByQuorum: config.onHeldByQuorum,
      random: Math.random,
      metrics: parts.metrics,
      logger,
      now,
      blame,
      onEvidence: config.onEvidence,
    });
  }

  /** Own batches of earlier epochs for which others are to find a place. */
  readonly handedOn = (): readonly SignedBatchHeader[] => this.#config.handOn.headers;

  /** For people: who validates. */
  get summary(): Readonly<Record<string, unknown>> {
    return {
      epoch: this.epoch,
      validator: this.self,
      validators: this.validatorSet.validators.map((validator) => this.#nameOf(validator)),
      hash: toHex(validatorSetHash(this.validatorSet)),
    };
  }

  #nameOf({ nodePublicKey }: { readonly nodePublicKey: Uint8Array }): string {
    return this.#config.parts.validatorSets.describe(nodePublicKey)?.name ?? toHex(nodePublicKey);
  }

  /** The validators, as the network has to know them. */
  get networkSet(): NetworkSet {
    const { genesis, validatorSets } = this.#config.parts;
    const validators = this.validatorSet.validators.map(({ nodePublicKey }) => ({
      nodePublicKey,
      addresses: validatorSets.describe(nodePublicKey)?.addresses ?? [],
    }));
    const otherValidators = [genesis.validatorSet, ...validatorSets.laterSets()].flatMap((set) =>
      set.validators.map(({ nodePublicKey }) => ({ nodePublicKey, addresses: [] })),
    );
    return { validators, otherValidators, self: this.self };
  }

  /** Why nothing can become final with those that this node reaches; undefined if it can, or this node does not validate. */
  outOfReach(connected: readonly ValidatorIndex[]): string | undefined {
    if (this.self === undefined) return undefined;
    const weight = weightOf(this.validatorSet, [...connected, this.self]);
    const quorum = quorumWeight(totalWeight(this.validatorSet));
    if (weight >= quorum) return undefined;
    return `it reaches validators of weight ${weight}, less than a quorum of ${quorum}: nothing can become final`;
  }

  /**
   * Why the epoch cannot end (R22): those that this node reaches and that have not named another next set than it knows are no
   * quorum. Undefined if nothing shows that, or this node does not validate.
   */
  heldUp(connected: readonly ValidatorIndex[]): string | undefined {
    const { otherNextSets } = this.core;
    if (this.self === undefined || otherNextSets.size === 0) return undefined;
    const own = validatorSetHash(this.#nextValidatorSet());
    // What this node knows may have been mended since.
    const others = [...otherNextSets].filter(([, hash]) => !equalBytes(hash, own)).map(([leader]) => leader);
    const agreeing = [...connected, this.self].filter((index) => !others.includes(index));
    const isQuorum = weightOf(this.validatorSet, agreeing) >= quorumWeight(totalWeight(this.validatorSet));
    if (others.length === 0 || isQuorum) return undefined;
    const names = others.map((index) => this.#nameOf(this.validatorSet.validators[index]!)).join(', ');
    return (
      `epoch ${this.epoch} cannot end: ${names} named another next validator set than this node, whose hash is ` +
      `${toHex(own)}, and without them there is no quorum; compare the validator schedules of all operators ` +
      '(--validator-schedule) and mend those that differ'
    );
  }

  /**
   * The core may ask for what the store has: the other batch of a lane that forks is not in a checkpoint, and one that
   * came before its place was in the core's window was not counted then.
   */
  provideBatches(refs: readonly BatchRef[], holders: readonly ValidatorIndex[]): void {
    const { actor, parts } = this.#config;
    const provide = async () => {
      const missing: BatchRef[] = [];
      for (const ref of refs) {
        const bytes = await parts.store.readBatch(toHex(ref.digest));
        const held = bytes && decodeBatch(bytes);
        if (!held?.ok) missing.push(ref);
        else if (!this.#isOver)
          actor().submit({ type: 'batchStored', batch: heldBatch(held.value.signed, ref.digest) });
      }
      await this.batches.fetch(missing, holders);
    };
    provide().catch((error: unknown) => parts.logger.error({ err: error }, 'batches could not be looked up'));
  }

  /** Own batches of the epoch before that were not ordered, each in its new place, in the order of the lane. */
  reseal(own: readonly StoredBatch[]): StoredBatch[] {
    return own.map(({ batch }) => {
      const resealed = this.lane!.reseal(batch);
      this.#hold(resealed.batch.signed, resealed.digest);
      return resealed;
    });
  }

  #hold(signed: SignedBatchHeader, digest: Bytes32): void {
    if (this.lanes.standing(signed.header, digest) === 'new') this.lanes.add(signed, digest);
  }

  start(): void {
    this.spread.start();
    this.follower?.start();
    this.#doubtTimer = setInterval(() => this.#doubt(), DOUBT_INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#doubtTimer);
    this.spread.stop();
    this.follower?.stop();
  }

  /** What was under way for this epoch has no effect any more. */
  end(): void {
    this.#isOver = true;
    this.stop();
  }

  /** Nothing became final for a while: the others may be in a later epoch, in which this node has no place (R22). */
  #doubt(): void {
    const { now, heartbeatMs } = this.#config.parts;
    const { finalHeight } = this.core.status;
    if (finalHeight !== this.#lastFinal.height) this.#lastFinal = { height: finalHeight, atMs: now() };
    const patienceMs = Math.max(MIN_DOUBT_MS, 3 * heartbeatMs);
    if (now() - this.#lastFinal.atMs > patienceMs) this.#config.actor().submit({ type: 'laterEpoch' });
  }

  /** Never unknown: where neither the genesis file nor the operator says who validates the next epoch, the set stays (R22). */
  #nextValidatorSet(): ValidatorSet {
    const { parts } = this.#config;
    const epoch = this.epoch + 1;
    const validators = parts.validatorSets.setFrom(epoch);
    return validators ? validatorSetOf(epoch, validators) : { epoch, validators: this.validatorSet.validators };
  }
}
