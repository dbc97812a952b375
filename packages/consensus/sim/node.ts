/**
 * One simulated validator: the real core, and a driver that does what a real one must (R20). Records and batches go to
 * one log; what a step sends becomes visible once all that was appended up to then is durable; a crash takes away what
 * was not, and all memory.
 */

import {
  type Block,
  type BlockHeader,
  blockHash,
  type Certificate,
  type ConsensusMessage,
  type HandOverProof,
  MAX_UNORDERED_BATCHES_PER_LANE,
  type ValidatorIndex,
} from '@squad/types';
import type { ConsensusRecord, HeldBatch, Input, Output } from '../src/api.ts';
import { Consensus } from '../src/core.ts';
import { sinceLastEpoch } from '../src/epochs.ts';
import type { Adversary } from './adversaries/adversary.ts';
import type { BatchStore } from './batches.ts';
import { Disk } from './disk.ts';
import { followerIndex, type PlannedEpoch } from './epoch-plan.ts';
import { Exchange } from './exchange.ts';
import { Holdings } from './holdings.ts';
import type { ObservedNode } from './invariants/api.ts';
import type { Invariants } from './invariants/index.ts';
import { hexOf } from './memo.ts';
import { DurableVotes, Heard } from './observations.ts';
import { Post } from './post.ts';
import type { Random } from './prng.ts';
import { FinalChain, finalBlocksIn } from './recovery.ts';
import type { World } from './world.ts';

export type LogEntry =
  | { readonly type: 'record'; readonly record: ConsensusRecord }
  | { readonly type: 'batch'; readonly batch: HeldBatch; readonly isOwn: boolean }
  | { readonly type: 'delivered'; readonly blocks: readonly Block[]; readonly certificate: Certificate };

/** A checkpoint is written each time so many blocks became final. */
const CHECKPOINT_EVERY_BLOCKS = 8;

const LOOK_INTERVAL_MS = 150;

/** Position of a node that is in no set of the present epoch: it follows. */
const NONE = -1;

export class SimulatedNode {
  /** Which validator it is, whatever its position in an epoch's set. */
  readonly identity: number;
  /** The epoch that it is in, and its position in that set. */
  epoch: PlannedEpoch;
  index: ValidatorIndex;
  /** Where it stands in the network. A validator with a live copy has two places. */
  readonly place: number;
  readonly disk: Disk<LogEntry>;
  readonly world: World;
  readonly random: Random;
  /** Undefined while the node is down. */
  core: Consensus | undefined;
  /** Counts starts: what was set in motion in an earlier life does not reach a later one. */
  life = 0;
  clockSkewMs = 0;
  adversary: Adversary | undefined;
  /** What an adversary keeps over all epochs. */
  readonly memory: ConsensusMessage[] = [];
  blocks: Map<string, Block> = new Map();
  final: FinalChain;
  /** Ends of epochs that are durable, to answer with: nobody may hear of another one (R20). */
  proofs: Map<number, HandOverProof> = new Map();
  held: Holdings;
  readonly exchange: Exchange;
  readonly post: Post;
  rules: Invariants;
  readonly #observed = new Map<number, ObservedNode>();
  /** In the epoch that it is in. */
  observed: ObservedNode;
  readonly #durableVotes: DurableVotes;
  #timer = 0;
  #bodiesHeight = 0;
  /** Up to here final blocks are durable, and shown to others (R20). */
  visibleHeight = 0;
  /** The view in which the core is, as it said itself. */
  #view = 0;
  #heard = new Heard();
  #checkpointHeight = 0;

  constructor(world: World, identity: number, place: number, random: Random) {
    this.world = world;
    this.identity = identity;
    this.place = place;
    this.random = random;
    this.epoch = world.plan.at(0);
    this.index = this.epoch.positionOf(identity) ?? NONE;
    this.rules = world.rules(this.epoch, world.genesis);
    this.observed = this.observedIn(this.epoch);
    this.final = this.#emptyChain();
    this.held = new Holdings(world);
    this.disk = new Disk(world.queue, random.fork('disk'), (draw) => {
      const slow = world.slowDisks.has(place);
      return slow ? draw.integer(5, 120) : draw.integer(0, 3);
    });
    this.#durableVotes = new DurableVotes(this.disk.durable);
    this.exchange = new Exchange(this);
    this.post = new Post(this);
    if (world.schedule.checksRestore && !world.isByzantine(identity)) this.disk.onSynced = () => this.#checkRestore();
  }

  get name(): string {
    return this.place === this.identity ? `n${this.identity}` : `n${this.identity}'`;
  }

  /** Of the present epoch. */
  get batches(): BatchStore {
    return this.held.of(this.epoch);
  }

  #emptyChain(): FinalChain {
    return new FinalChain(this.world.schedule.epochs?.lengthBlocks);
  }

  get up(): boolean {
    return this.core !== undefined;
  }

  get localNowMs(): number {
    return this.world.nowMs + this.clockSkewMs;
  }

  // ---------------------------------------------------------------- life

  start(): void {
    const records: ConsensusRecord[] = [];
    this.held = new Holdings(this.world);
    this.blocks = new Map();
    this.final = this.#emptyChain();
    this.proofs = new Map();
    this.#bodiesHeight = 0;
    this.visibleHeight = 0;
    for (const entry of this.disk.durable) {
      if (entry.type === 'batch') {
        this.held.keep(entry.batch, entry.isOwn);
        this.held.setDurable(entry.batch);
      } else if (entry.type === 'delivered') {
        this.#appendFinal(entry.blocks, entry.certificate);
        this.visibleHeight = this.final.height;
      } else {
        records.push(entry.record);
        this.#keepRecord(entry.record);
        if (entry.record.type === 'epochEnded')
          this.proofs.set(entry.record.proof.boundaryHeader.epoch, entry.record.proof);
      }
    }
    this.life++;
    this.#begin(records);
    this.#deliverWhatIsRecorded(records);
    this.run({ type: 'start' });
    this.#resume();
    this.exchange.start();
    this.#look();
  }

  /** As its L1 endpoint shows it now, and again and again (R24). */
  #look(): void {
    const { l1, queue } = this.world;
    if (!l1) return;
    this.run({ type: 'l1Blocks', blocks: l1.look(this.identity, this.core!.l1Anchor, queue.nowMs) });
    this.later(LOOK_INTERVAL_MS, () => this.#look());
  }

  /** Makes the core of the epoch that the records have come to (R22). */
  #begin(records: readonly ConsensusRecord[]): void {
    const { ended, records: since } = sinceLastEpoch(records);
    this.epoch = this.world.plan.at(ended ? ended.proof.nextValidatorSet.epoch : 0);
    this.index = this.epoch.positionOf(this.identity) ?? NONE;
    this.rules = this.world.rules(this.epoch, ended?.block ?? this.world.genesis);
    this.adversary = this.world.adversaryOf(this, this.epoch);
    this.observed = this.observedIn(this.epoch);
    this.#view = 0;
    this.#heard = new Heard();
    this.rules.onStarted(this.observed);
    this.#heard.isNewNetwork = since.length === 0;
    this.core = this.#coreOf(records);
  }

  /** Tells a new core what is held, and seals anew what an earlier epoch left. */
  #resume(): void {
    for (const batch of this.batches.all()) {
      if (!this.final.isOrdered(this.epoch.number, batch.ref)) this.run({ type: 'batchStored', batch });
    }
    this.checkBodies();
    if (!this.world.schedule.epochs || this.index === NONE) return;
    for (const payload of this.held.payloads.leftFrom(this.epoch.number)) {
      this.world.count('a batch sealed anew');
      this.seal(payload);
    }
  }

  /** R22: the epoch's end is durable and visible. */
  #beginNext(block: Block, proof: HandOverProof): void {
    this.rules.onEpochEnded(this.observed, block, proof);
    this.proofs.set(this.epoch.number, proof);
    this.#begin([{ type: 'epochEnded', block, proof }]);
    this.exchange.beginEpoch();
    this.world.note('epoch', [this.place, this.epoch.number], () => `${this.name} begins epoch ${this.epoch.number}`);
    this.run({ type: 'start' });
    this.#resume();
    const height = this.#bodiesHeight;
    this.later(0, () => this.run({ type: 'bodiesComplete', height }));
  }

  #coreOf(records: readonly ConsensusRecord[]): Consensus {
    const { ended, records: since } = sinceLastEpoch(records);
    const epoch = this.world.plan.at(ended ? ended.proof.nextValidatorSet.epoch : 0);
    const from = since.findLastIndex((record) => record.type === 'checkpoint');
    const config = this.world.configOf(this, epoch, ended);
    return new Consensus(config, this.localNowMs, from < 0 ? since : since.slice(from));
  }

  /** What a crash at this moment would leave. */
  #checkRestore(): void {
    if (!this.core) return;
    const records = this.disk.durable.flatMap((entry) => (entry.type === 'record' ? [entry.record] : []));
    this.world.count('a crash after a sync looked at');
    const restored = this.#coreOf(records);
    if (sinceLastEpoch(records).ended?.proof.boundaryHeader.epoch === this.epoch.number) {
      // The end of the epoch is durable, and about to be visible: the core that runs is the one before.
      const { finalHeight } = restored.status;
      if (finalHeight !== this.epoch.lastHeight) {
        this.world.fail('restored as promised', `${this.name} would begin its next epoch at height ${finalHeight}`);
      }
      return;
    }
    this.rules.onRestorable(this.observed, restored, this.disk.isSynced ? this.core : undefined);
  }

  /** Final blocks whose delivery did not reach the disk, while their records did: delivered now (at least once). */
  #deliverWhatIsRecorded(records: readonly ConsensusRecord[]): void {
    const missing = finalBlocksIn(records, this.blocks, this.final.height);
    const { finalHeight } = this.core!.status;
    const reached = missing?.blocks.at(-1)?.header.height ?? this.final.height;
    if (missing === undefined || reached !== finalHeight) {
      this.world.fail(
        'recovery',
        `${this.name} restored its core at height ${finalHeight}, its records bring back blocks up to ${reached}`,
      );
    }
    if (missing?.certificate && missing.blocks.length > 0) this.#takeFinal(missing.blocks, missing.certificate);
    // The reader has acknowledged blocks up to a cursor; it gets what follows.
    const unread = this.final.above(this.world.final.cursor(this.place));
    if (unread.length > 0) this.#onFinal(unread, undefined);
  }

  crash(): void {
    this.core = undefined;
    this.disk.crash();
    this.exchange.stop();
    this.post.stop();
  }

  /** Runs `act` after a delay, unless the node went down in between. */
  later(delayMs: number, act: () => void): void {
    const { life } = this;
    this.world.queue.after(delayMs, () => {
      if (this.up && life === this.life) act();
    });
  }

  atNextSync(failing: boolean, act: () => void): void {
    this.disk.atNextSync = { failing, act };
  }

  // ---------------------------------------------------------------- the core

  run(input: Input): void {
    const { core } = this;
    if (!core) return;
    const outputs = core.step(this.localNowMs, input);
    this.#heard.input(input, this.epoch.weights);
    const visible: Output[] = [];
    // Positions are those of the epoch in which it was said, even if the node is in the next one when it is durable.
    const { epoch } = this;
    for (const output of outputs) this.#take(output, visible);
    this.world.steps++;
    if (visible.length > 0) {
      this.disk.whenDurable(() => {
        for (const output of visible) this.#release(output, epoch);
      });
    }
  }

  #take(output: Output, visible: Output[]): void {
    switch (output.type) {
      case 'persist':
        this.disk.append({ type: 'record', record: output.record });
        this.#keepRecord(output.record);
        if (output.record.type === 'certificate')
          this.rules.onTaken(this.observed, output.record.certificate, this.#view || 1);
        if (output.record.type === 'vote')
          this.rules.onVoteMade(this.observed, output.record.vote, this.#view, this.#heard);
        return;
      case 'final':
        visible.push(output);
        this.#takeFinal(output.blocks, output.certificate);
        return;
      case 'fetchHandOver':
        this.world.count('fetchHandOver');
        return this.exchange.fetchHandOver(output.epoch, output.holders);
      case 'wakeAt': {
        const timer = ++this.#timer;
        this.later(Math.max(1, output.atMs - this.localNowMs), () => {
          if (timer === this.#timer) this.run({ type: 'tick' });
        });
        return;
      }
      case 'fetchBatches':
        this.world.count('fetchBatches');
        return this.exchange.fetchBatches(output.refs, output.holders);
      case 'fetchBlock':
        this.world.count('fetchBlock');
        return this.exchange.fetchBlock(output.hash, output.holders);
      case 'fetchRange':
        this.world.count('fetchRange');
        return this.exchange.fetchRange(output.fromHeight, output.holders);
      case 'enteredView':
        this.#view = output.view;
        this.rules.onEnteredView(this.observed, output.view);
        this.world.note('enteredView', [this.place, output.view], () => `${this.name} enters view ${output.view}`);
        this.adversary?.enteredView?.(output.view, output.leader);
        return;
      case 'misbehaved':
        this.rules.onMisbehaved(this.observed, output.peer, output.reason);
        this.post.ban(this.epoch.members[output.peer]!);
        return;
      case 'evidence':
        this.rules.onEvidence(this.observed, output.evidence);
        return;
      case 'send':
      case 'soft':
      case 'epochEnded':
        visible.push(output);
    }
  }

  /** What a step put out, now that all it rests on is durable. */
  #release(output: Output, epoch: PlannedEpoch): void {
    if (output.type === 'send') {
      if (epoch === this.epoch) this.rules.onSend(this.observed, output.message);
      else this.world.rulesAt(epoch).onSend(this.observedIn(epoch), output.message);
      this.post.send(output.to, output.message, epoch);
    } else if (output.type === 'soft') {
      this.rules.onSoft(this.observed, output.block, output.certificate);
    } else if (output.type === 'final') {
      this.#onFinal(output.blocks, output.certificate, output.path);
    } else if (output.type === 'epochEnded') {
      this.#beginNext(output.block, output.proof);
    }
  }

  // ---------------------------------------------------------------- what is final

  #takeFinal(blocks: readonly Block[], certificate: Certificate): void {
    this.disk.append({ type: 'delivered', blocks, certificate });
    this.#appendFinal(blocks, certificate);
    if (!this.world.checkpoints || this.final.height < this.#checkpointHeight + CHECKPOINT_EVERY_BLOCKS) return;
    this.#checkpointHeight = this.final.height;
    // Between two steps, as a real driver does: `checkpoint` speaks of the state after this one.
    this.later(0, () => {
      if (this.core!.isOver) return; // the log is the next epoch's already
      this.world.count('checkpoint');
      this.disk.append({ type: 'record', record: { type: 'checkpoint', checkpoint: this.core!.checkpoint() } });
      this.disk.whenDurable(() => {});
    });
  }

  #appendFinal(blocks: readonly Block[], certificate: Certificate): void {
    this.final.append(blocks, certificate);
    for (const block of blocks) {
      this.#keepBlock(block);
      this.held.order(block);
    }
  }

  #onFinal(blocks: readonly Block[], certificate: Certificate | undefined, path: readonly BlockHeader[] = []): void {
    if (certificate) this.rules.onFinal(this.observed, blocks, certificate, path);
    else for (const block of blocks) this.#deliverAgain(block, this.world.plan.at(block.header.epoch));
    this.visibleHeight = Math.max(this.visibleHeight, blocks.at(-1)!.header.height);
    for (const { refs } of blocks) {
      const missing = refs.filter((ref) => !this.held.get(ref.digest));
      if (missing.length > 0) this.exchange.fetchBatches(missing, [missing[0]!.author]);
    }
    this.checkBodies();
  }

  /** After a restart they may be of several epochs. */
  #deliverAgain(block: Block, epoch: PlannedEpoch): void {
    this.world.rulesAt(epoch).onFinal(this.observedIn(epoch), [block], undefined);
  }

  checkBodies(): void {
    let height = this.#bodiesHeight;
    while (this.final.at(height + 1)?.refs.every((ref) => this.held.isDurable(ref.digest))) height++;
    if (height === this.#bodiesHeight) return;
    this.#bodiesHeight = height;
    this.later(0, () => this.run({ type: 'bodiesComplete', height }));
  }

  // ---------------------------------------------------------------- batches

  /** Seals so many batches as one bundle, unless too many wait (R1). `payload`: one that was accepted before. */
  seal(payload?: number, batches = 1): void {
    if (this.index === NONE) return;
    const lane = this.batches.lanes[this.index]!;
    const waiting = lane.length - this.final.nextSeq(this.epoch.number, this.index);
    if (waiting + batches > MAX_UNORDERED_BATCHES_PER_LANE) return;
    this.disk.inOneFrame(() => {
      for (let left = batches - 1; left >= 0; left--) {
        const batch = this.world.makeBatch(this, lane.length, lane.at(-1)?.ref.digest, {
          payload,
          joinsNext: left > 0,
        });
        const spread = () => {
          for (const to of this.world.peersOf(this)) this.exchange.spread(to, batch);
        };
        this.storeBatch(batch, spread, true);
      }
    });
  }

  /** From a node that accepted it, could not have it ordered in time, and validates no more (R22). */
  takePayload(payload: number): void {
    if (
      this.up &&
      this.index !== NONE &&
      !this.held.payloads.isOwn(payload) &&
      !this.held.payloads.isOrdered(payload)
    ) {
      this.seal(payload);
    }
  }

  /** Appends a batch to the log and tells the core; `then` runs once it is durable. */
  storeBatch(batch: HeldBatch, then: () => void, isOwn = false): void {
    if (!this.held.keep(batch, isOwn)) return;
    this.disk.append({ type: 'batch', batch, isOwn });
    // Asked for before the core is told: whatever the core sends because of this batch waits behind it.
    this.disk.whenDurable(() => {
      this.held.setDurable(batch);
      then();
      this.checkBodies();
    });
    if (this.world.batches.epochOf(batch.ref.digest) === this.epoch.number) this.run({ type: 'batchStored', batch });
  }

  /** How many batches, or with epochs which payloads, this node may not lose. */
  acceptedBatches(): number | readonly number[] {
    return this.world.schedule.epochs ? this.held.payloads.durable : this.batches.durableLength(this.index);
  }

  /** The first of what another node had accepted that is not final here. */
  missingOf(author: SimulatedNode, accepted: number | readonly number[]): string | undefined {
    if (typeof accepted !== 'number') {
      const missing = accepted.find((payload) => !this.held.payloads.isOrdered(payload));
      return missing === undefined ? undefined : `payload ${missing} of ${author.name} is not final`;
    }
    const seq = this.final.nextSeq(0, author.index);
    return seq >= accepted ? undefined : `batch ${author.index}/${seq} of ${accepted} is not final`;
  }

  // ---------------------------------------------------------------- what the invariants look at

  observedIn(epoch: PlannedEpoch): ObservedNode {
    let observed = this.#observed.get(epoch.number);
    if (!observed) {
      const { place, name } = this;
      observed = {
        index: epoch.positionOf(this.identity) ?? followerIndex(this.identity),
        place,
        name,
        isVoteDurable: (vote) => this.#durableVotes.has(vote),
        isBatchDurable: (digest) => this.held.isDurable(digest),
        isBlockKnown: (hash) => this.blocks.has(hash),
        isEndDurable: () => this.#isEndDurable(epoch),
      };
      this.#observed.set(epoch.number, observed);
    }
    return observed;
  }

  #isEndDurable({ number }: PlannedEpoch): boolean {
    return this.disk.durable.some(
      (entry) =>
        entry.type === 'record' &&
        entry.record.type === 'epochEnded' &&
        entry.record.proof.boundaryHeader.epoch === number,
    );
  }

  #keepRecord(record: ConsensusRecord): void {
    if (record.type === 'block') this.#keepBlock(record.block);
    if (record.type === 'epochEnded') this.#keepBlock(record.block);
    if (record.type === 'checkpoint') {
      this.#keepBlock(record.checkpoint.finalized);
      for (const block of record.checkpoint.blocks) this.#keepBlock(block);
    }
  }

  #keepBlock(block: Block): void {
    this.blocks.set(hexOf(blockHash(block.header)), block);
    this.world.rulesOf(block)?.onBlock(block);
  }
}
