/** Drives feeds, verification and derivation. One block is verified and applied at a time. */

import type { BlockPoint, ProvenBlock, VerificationError, Verifier } from '@squad/client';
import {
  bodyTransactions,
  type Epoch,
  equalBytes,
  FEED_HEAD_ONLY,
  type FeedBlock,
  FeedStage,
  HandOverRequest,
  type Height,
  SquadError,
  toHex,
  type ValidatorSet,
} from '@squad/types';
import type * as derivation from '../derivation/api.ts';
import {
  CATCH_UP_DISTANCE_BLOCKS,
  DEFAULT_FOLLOWER_OPTIONS,
  type FeedStatus,
  type Follower,
  type FollowerConfig,
  type FollowerOptions,
  HAND_OVER_RETRY_MS,
  LIVE_DISTANCE_BLOCKS,
  MAINTENANCE_INTERVAL_MS,
  type RefusalCode,
} from './api.ts';
import { type ConnectionEnd, FeedConnection } from './connection.ts';
import { Inbox, type WaitingBlock } from './inbox.ts';
import { type FollowerMetrics, followerMetrics } from './metrics.ts';
import { setHead } from './set-head.ts';
import { type SequencerKey, SequencerSlot } from './slot.ts';

export function createFollower(config: FollowerConfig): Follower {
  return new SequenceFollower(config);
}

/** Times that one sequencer is asked again for what it does not send before its feed is closed. */
const MAX_ASKED_AGAIN = 2;

class SequenceFollower implements Follower {
  readonly #config: FollowerConfig;
  readonly #options: FollowerOptions;
  readonly #random: () => number;
  #slots: readonly SequencerSlot[] = [];
  readonly #inbox = new Inbox();
  #verifier: Verifier;
  /** When the proof of an epoch's end may be asked for again. */
  #handOverAtMs = 0;
  readonly #metrics: FollowerMetrics;
  #head: BlockPoint;
  /** All feeds give blocks; otherwise one does, and the others tell their head. */
  #live = false;
  #progressAtMs = 0;
  #working: Promise<void> | undefined;
  #maintenance: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(config: FollowerConfig) {
    this.#config = config;
    this.#options = { ...DEFAULT_FOLLOWER_OPTIONS, ...config.options };
    this.#random = config.random ?? Math.random;
    const { validatorSet, scheme } = config.epochs;
    this.#verifier = config.createVerifier(validatorSet, scheme);
    this.#takePlaces(validatorSet);
    this.#head = config.start;
    this.#metrics = followerMetrics(config.metrics, this);
  }

  get head(): BlockPoint {
    return this.#head;
  }

  get setHead(): Height | undefined {
    const claims = this.#slots.flatMap(({ index, claimedHead }) =>
      claimedHead === undefined ? [] : [[index, claimedHead] as const],
    );
    return setHead(this.#config.epochs.validatorSet, claims);
  }

  get epoch(): Epoch {
    return this.#config.epochs.validatorSet.epoch;
  }

  get feeds(): readonly FeedStatus[] {
    return this.#slots.map(({ index, state, distrustedUntilMs, claimedHead }) => ({
      sequencer: index,
      state,
      distrustedUntilMs,
      claimedHead,
    }));
  }

  start(): void {
    this.#progressAtMs = performance.now();
    this.#maintenance = setInterval(() => this.#maintain(), MAINTENANCE_INTERVAL_MS);
    this.#maintain();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#maintenance);
    for (const { connection } of this.#slots) connection?.close();
    await this.#working;
  }

  // Feeds

  #maintain(): void {
    if (this.#stopped) return;
    const nowMs = performance.now();
    this.#openFeeds(nowMs);
    this.#assignRoles();
    this.#noticeStall(nowMs);
    this.#work();
  }

  /** The sequencer that was not tried for longest comes first; at the start, any. */
  #openFeeds(nowMs: number): void {
    const inUse = this.#slots.filter(({ state }) => state !== 'idle').length;
    const free = this.#options.maxFeeds - inUse;
    if (free <= 0) return;
    const ready = this.#slots.filter((slot) => slot.mayBeOpened(nowMs));
    const shuffled = ready.map((slot) => ({ slot, order: this.#random() })).sort((a, b) => a.order - b.order);
    const byTime = shuffled.sort((a, b) => Math.sign(a.slot.triedAtMs - b.slot.triedAtMs) || 0);
    for (const { slot } of byTime.slice(0, free)) void this.#open(slot, nowMs);
  }

  async #open(slot: SequencerSlot, nowMs: number): Promise<void> {
    slot.state = 'connecting';
    slot.triedAtMs = nowMs;
    const { network, rollupId, logger } = this.#config;
    try {
      const stream = await network.openFeed(slot.index);
      if (this.#stopped) {
        stream.close();
        return;
      }
      slot.state = 'open';
      slot.connection = new FeedConnection(stream, rollupId, {
        onBlock: (block, bytes) => this.#receive(slot, block, bytes),
        onBlockBegun: (block) => this.#checkBegun(slot, block),
        onHead: (height) => this.#claim(slot, height),
        onEnd: (end) => this.#ended(slot, end),
      });
      this.#subscribe(slot, this.#live);
      this.#assignRoles();
    } catch (error) {
      logger.debug({ sequencer: slot.index, err: error }, 'a feed could not be opened');
      slot.ended();
      slot.standing.backOff(performance.now(), this.#random());
    }
  }

  #subscribe(slot: SequencerSlot, active: boolean): void {
    this.#inbox.forgetFeed(slot.key);
    slot.active = active;
    slot.connection?.subscribe(active ? this.#head.height + 1 : FEED_HEAD_ONLY);
  }

  #ended(slot: SequencerSlot, end: ConnectionEnd): void {
    slot.ended();
    this.#inbox.forgetFeed(slot.key);
    if (this.#stopped) return;
    if (end.kind === 'fault') {
      this.#refuse(slot, end.code, end.message, undefined);
    } else {
      const fields = { sequencer: slot.index, ...end };
      this.#config.logger.debug(fields, 'a feed ended');
      slot.standing.backOff(performance.now(), this.#random());
    }
    this.#assignRoles();
  }

  #claim(slot: SequencerSlot, height: Height): void {
    slot.claimedHead = height;
    this.#assignRoles();
  }

  /** Near the set's head all feeds give blocks, so that each leader's come at once. Far behind, one is enough. */
  #assignRoles(): void {
    if (this.#stopped) return;
    const open = this.#slots.filter(({ connection }) => connection !== undefined);
    const primary = open.find(({ active }) => active);
    const target = this.setHead ?? primary?.claimedHead;
    if (target === undefined) this.#live = false;
    else if (target - this.#head.height <= LIVE_DISTANCE_BLOCKS) this.#live = true;
    else if (target - this.#head.height > CATCH_UP_DISTANCE_BLOCKS) this.#live = false;
    if (this.#live) {
      for (const slot of open) if (!slot.active) this.#subscribe(slot, true);
      return;
    }
    const chosen = primary ?? this.#mostPromising(open);
    for (const slot of open) if (slot.active !== (slot === chosen)) this.#subscribe(slot, slot === chosen);
  }

  /** One that has something new, or may have; one that was not asked in vain first. */
  #mostPromising(open: readonly SequencerSlot[]): SequencerSlot | undefined {
    const mayHave = open.filter(({ claimedHead = Number.POSITIVE_INFINITY }) => claimedHead > this.#head.height);
    return mayHave.sort((a, b) => a.asked - b.asked)[0];
  }

  /** Nothing new for a while, though there is something: ask another sequencer for it. */
  #noticeStall(nowMs: number): void {
    if (this.#working || nowMs - this.#progressAtMs < this.#options.stallMs) return;
    const { height } = this.#head;
    const claimants = this.#slots.filter(({ claimedHead = 0 }) => claimedHead > height);
    if (claimants.length === 0 && !this.#inbox.hasFinalAbove(height)) return;
    if (this.#slots.some(({ connection }) => connection?.isReceiving(height + 1, this.#options.stallMs))) return;
    this.#progressAtMs = nowMs;
    this.#metrics.switches.increment();
    this.#config.logger.info({ height, setHead: this.setHead }, 'no new block for a while: asking another sequencer');
    if (this.#live) {
      const open = claimants.filter(({ connection }) => connection !== undefined);
      const next = open.sort((a, b) => a.asked - b.asked)[0];
      if (next) this.#askAgain(next);
    } else {
      // Closing it makes another one active.
      const active = this.#slots.filter((slot) => slot.active);
      for (const slot of active) this.#abandon(slot);
    }
  }

  #askAgain(slot: SequencerSlot): void {
    slot.asked++;
    if (slot.asked > MAX_ASKED_AGAIN) this.#abandon(slot);
    else this.#subscribe(slot, true);
  }

  /** It is not known to lie, but is of no use: others first. */
  #abandon(slot: SequencerSlot): void {
    slot.claimedHead = undefined;
    slot.connection?.close();
  }

  #refuse(slot: SequencerSlot, code: RefusalCode, message: string, height: Height | undefined): void {
    const nowMs = performance.now();
    // Told once: what else it sent before its feed was closed adds nothing.
    if (nowMs < (slot.distrustedUntilMs ?? Number.NEGATIVE_INFINITY)) return;
    slot.standing.distrust(nowMs);
    slot.claimedHead = undefined;
    this.#metrics.refused.increment({ code });
    const refusal = { sequencer: slot.index, code, message, height };
    this.#config.logger.warn(refusal, 'a sequencer sent what fails verification: its feed is closed');
    this.#config.onRefused?.(refusal);
    slot.connection?.close();
  }

  // Blocks

  #receive(slot: SequencerSlot, block: FeedBlock, bytes: number): void {
    const { height, parentHash, epoch } = block.block.header;
    const head = this.#head;
    if (height <= head.height) return;
    if (Inbox.isAhead(height, head.height)) {
      // Blocks that were under way when the feed was set to standby are none of its faults.
      if (slot.active)
        this.#refuse(slot, 'PROTOCOL', `block ${height} is beyond the window above ${head.height}`, height);
      return;
    }
    const waiting: WaitingBlock = { from: slot.key, block, bytes };
    if (block.stage === FeedStage.final) {
      if (!this.#inbox.addFinal(waiting)) this.#abandon(slot);
    } else if (epoch === this.epoch && (height > head.height + 1 || equalBytes(parentHash, head.hash))) {
      this.#inbox.addSoft(waiting);
    }
    this.#work();
  }

  /** Before its bodies are taken: what is held of unfinished blocks is what a quorum certified. */
  #checkBegun(slot: SequencerSlot, block: FeedBlock): void {
    const { height, epoch } = block.block.header;
    if (height <= this.#head.height) return;
    // Of the next epoch, whose set is not known yet: the feed begins again when it is.
    if (epoch === this.epoch + 1) return this.#abandon(slot);
    const error = this.#verifier.checkCertified(block);
    if (error) this.#refuse(slot, error.code, error.message, error.height);
  }

  /** Goes on while there is something that can be judged now. */
  #work(): void {
    if (this.#working || this.#stopped) return;
    const job = this.#nextJob();
    if (!job) return;
    this.#working = job().then(
      () => {
        this.#working = undefined;
        this.#work();
      },
      (error: unknown) => {
        this.#working = undefined;
        // What it waited for was called off.
        if (this.#stopped && error instanceof SquadError && error.code === 'DERIVATION_STOPPED') return;
        this.#fail(error);
      },
    );
  }

  /** Soft blocks first: they are few, and a final block may rely on the bodies of its soft one. */
  #nextJob(): (() => Promise<void>) | undefined {
    if (this.#config.epochs.endsBefore(this.#head.height + 1)) return this.#crossing();
    const soft = this.#inbox.takeSoft();
    if (soft) return () => this.#judgeSoft(soft);
    const final = this.#inbox.takeFinal(this.#head.height + 1);
    return final && (() => this.#judgeFinal(final));
  }

  async #judgeSoft({ from, block }: WaitingBlock): Promise<void> {
    if (block.block.header.height <= this.#head.height) return;
    const proven = this.#verifier.verifyFeedBlock(block, this.#head);
    if (!proven.ok) return this.#refuseBlock(from, proven.error);
    this.#inbox.holdSoft(proven.value);
    const outcome = await this.#config.derivation.applySoft(forDerivation(proven.value));
    if (outcome === 'applied') this.#measure(proven.value);
  }

  async #judgeFinal({ from, block }: WaitingBlock): Promise<void> {
    const held = (hash: Uint8Array) => this.#inbox.heldBatches(hash);
    const proven = this.#verifier.verifyFeedBlock(block, this.#head, held);
    if (!proven.ok) return this.#refuseBlock(from, proven.error);
    await this.#config.derivation.applyFinal(forDerivation(proven.value));
    this.#advance({ height: proven.value.header.height, hash: proven.value.hash });
    this.#slotOf(from)?.delivered();
    this.#measure(proven.value);
  }

  #refuseBlock(from: SequencerKey, { code, message, height }: VerificationError): void {
    const slot = this.#slotOf(from);
    if (!slot) return;
    // Its soft block was dropped here: not its fault. It posts in full after a new subscription.
    if (code === 'BODIES_NOT_HELD') this.#askAgain(slot);
    else this.#refuse(slot, code, message, height);
  }

  #slotOf(key: SequencerKey): SequencerSlot | undefined {
    return this.#slots.find((slot) => slot.key === key);
  }

  // From epoch to epoch (R22)

  #crossing(): (() => Promise<void>) | undefined {
    return performance.now() < this.#handOverAtMs ? undefined : () => this.#cross();
  }

  /** Asks one sequencer after another for the proof that the epoch is over: whoever has its last block has it, or will soon. */
  async #cross(): Promise<void> {
    const { network, epochs, logger } = this.#config;
    this.#handOverAtMs = performance.now() + HAND_OVER_RETRY_MS;
    const { epoch } = epochs.validatorSet;
    const nowMs = performance.now();
    const open = (slot: SequencerSlot) => (slot.connection ? 0 : 1);
    const trusted = this.#slots.filter(({ distrustedUntilMs }) => nowMs >= (distrustedUntilMs ?? nowMs));
    for (const slot of trusted.sort((a, b) => open(a) - open(b))) {
      const answer = await network
        .request(slot.index, 'handOver', HandOverRequest.serialize({ epoch }))
        .catch((error: unknown) => {
          logger.debug({ sequencer: slot.index, err: error }, 'the proof that an epoch is over was not had');
        });
      if (this.#stopped) return;
      if (answer === undefined || answer.length === 0) continue;
      // A set that cannot be kept ends the following: a disk that fails is no fault of the sequencer's.
      const taken = await epochs.take(answer);
      if (taken.ok) return this.#changeSet(taken.value);
      this.#refuse(
        slot,
        'HAND_OVER',
        `the proof that epoch ${epoch} is over proves nothing: ${taken.error}`,
        undefined,
      );
    }
  }

  #changeSet(set: ValidatorSet): void {
    const { epochs, createVerifier, onValidatorSet, logger } = this.#config;
    this.#verifier = createVerifier(set, epochs.scheme);
    onValidatorSet(set);
    this.#takePlaces(set);
    this.#handOverAtMs = 0;
    logger.info({ epoch: set.epoch, validators: set.validators.length }, 'a new epoch began');
    this.#assignRoles();
  }

  /** Feeds of those who stay go on, whatever their places. */
  #takePlaces({ validators }: ValidatorSet): void {
    const before = new Map(this.#slots.map((slot) => [slot.key, slot]));
    this.#slots = validators.map(({ nodePublicKey }, index) => {
      const key = toHex(nodePublicKey);
      const slot = before.get(key) ?? new SequencerSlot(index, key, this.#options);
      slot.index = index;
      before.delete(key);
      return slot;
    });
    for (const { connection } of before.values()) connection?.close();
  }

  #advance(head: BlockPoint): void {
    this.#head = head;
    this.#progressAtMs = performance.now();
    this.#inbox.advance(head.height);
    for (const slot of this.#slots) if (slot.active) slot.connection?.acknowledge(head.height);
    if (!this.#live) this.#assignRoles();
  }

  #measure({ stage, header }: ProvenBlock): void {
    this.#metrics.blocks.increment({ stage });
    this.#metrics.latency.observe(Math.max(0, Date.now() - header.timestampMs) / 1000, { stage });
  }

  /** The order of what is applied can no longer be vouched for. */
  #fail(error: unknown): void {
    void this.stop();
    this.#config.logger.error(
      { err: error, height: this.#head.height + 1 },
      'derivation failed: following has stopped',
    );
    this.#config.onFailed(error);
  }
}

function forDerivation({ stage, hash, header, batches }: ProvenBlock): derivation.ProvenBlock {
  const { height, view, parentHash, timestampMs, l1AnchorNumber, l1AnchorHash } = header;
  return {
    stage,
    height,
    view,
    hash,
    parentHash,
    timestampMs,
    l1Anchor: { number: l1AnchorNumber, hash: l1AnchorHash },
    batches: batches.map(({ ref, body }) => ({ digest: ref.digest, transactions: bodyTransactions(body) })),
  };
}
