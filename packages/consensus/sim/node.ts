/**
 * One simulated validator: the real core, and a driver that does what a real one must (R20). Records and batches go to
 * one log; what a step sends becomes visible once all that was appended up to then is durable; a crash takes away what
 * was not, and all memory.
 */

import {
  type Block,
  blockHash,
  type Certificate,
  type ConsensusMessage,
  decodeValidatorMessage,
  encodeValidatorMessage,
  MAX_UNORDERED_BATCHES_PER_LANE,
  toHex,
  type ValidatorIndex,
  type Vote,
} from '@squad/types';
import type { ConsensusConfig, ConsensusRecord, HeldBatch, Input, Output } from '../src/api.ts';
import { Consensus } from '../src/core.ts';
import type { Adversary } from './adversaries/adversary.ts';
import { BatchStore } from './batches.ts';
import { Disk } from './disk.ts';
import { Exchange } from './exchange.ts';
import type { ObservedNode } from './invariants/api.ts';
import { DurableVotes, Heard } from './observations.ts';
import type { Random } from './prng.ts';
import { FinalChain, finalBlocksIn } from './recovery.ts';
import type { World } from './world.ts';

export type LogEntry =
  | { readonly type: 'record'; readonly record: ConsensusRecord }
  | { readonly type: 'batch'; readonly batch: HeldBatch }
  | { readonly type: 'delivered'; readonly blocks: readonly Block[]; readonly certificate: Certificate };

/** A checkpoint is written each time so many blocks became final. */
const CHECKPOINT_EVERY_BLOCKS = 8;
/** How long a peer that misbehaved is not listened to. */
const BAN_MS = 300;

export class SimulatedNode implements ObservedNode {
  readonly index: ValidatorIndex;
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
  batches: BatchStore;
  blocks: Map<string, Block> = new Map();
  final = new FinalChain();
  readonly exchange: Exchange;
  readonly #config: ConsensusConfig;
  readonly #durableVotes: DurableVotes;
  #timer = 0;
  #bodiesHeight = 0;
  /** The view in which the core is, as it said itself. */
  #view = 0;
  #heard = new Heard();
  #checkpointHeight = 0;
  readonly #bannedUntilMs = new Map<ValidatorIndex, number>();

  constructor(world: World, index: ValidatorIndex, place: number, config: ConsensusConfig, random: Random) {
    this.world = world;
    this.index = index;
    this.place = place;
    this.random = random;
    this.#config = config;
    this.disk = new Disk(world.queue, random.fork('disk'), (draw) => {
      const slow = world.slowDisks.has(place);
      return slow ? draw.integer(5, 120) : draw.integer(0, 3);
    });
    this.#durableVotes = new DurableVotes(this.disk.durable);
    this.batches = new BatchStore(world.size);
    this.exchange = new Exchange(this);
    if (world.schedule.checksRestore && !world.isByzantine(index)) this.disk.onSynced = () => this.#checkRestore();
  }

  get name(): string {
    return this.place === this.index ? `n${this.index}` : `n${this.index}'`;
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
    this.batches = new BatchStore(this.world.size);
    this.blocks = new Map();
    this.final = new FinalChain();
    this.#bodiesHeight = 0;
    for (const entry of this.disk.durable) {
      if (entry.type === 'batch') {
        this.batches.add(entry.batch);
        this.batches.setDurable(entry.batch);
      } else if (entry.type === 'delivered') {
        this.final.append(entry.blocks, entry.certificate);
        for (const block of entry.blocks) this.#keepBlock(block);
      } else {
        records.push(entry.record);
        this.#keepRecord(entry.record);
      }
    }
    this.life++;
    this.#view = 0;
    this.#heard = new Heard();
    this.world.invariants.onStarted(this);
    this.#heard.isNewNetwork = records.length === 0;
    this.core = this.#coreOf(records);
    this.#deliverWhatIsRecorded(records);
    this.run({ type: 'start' });
    for (const batch of this.batches.all()) {
      if (!this.final.isOrdered(batch.ref)) this.run({ type: 'batchStored', batch });
    }
    this.checkBodies();
    this.exchange.start();
  }

  #coreOf(records: readonly ConsensusRecord[]): Consensus {
    const from = records.findLastIndex((record) => record.type === 'checkpoint');
    return new Consensus(this.#config, this.localNowMs, from < 0 ? records : records.slice(from));
  }

  /** What a crash at this moment would leave. */
  #checkRestore(): void {
    if (!this.core) return;
    const records = this.disk.durable.flatMap((entry) => (entry.type === 'record' ? [entry.record] : []));
    this.world.count('a crash after a sync looked at');
    this.world.invariants.onRestorable(this, this.#coreOf(records), this.disk.isSynced ? this.core : undefined);
  }

  /** Final blocks whose delivery did not reach the disk, while their records did: delivered now (at least once). */
  #deliverWhatIsRecorded(records: readonly ConsensusRecord[]): void {
    const missing = finalBlocksIn(records, this.blocks, this.final.height);
    const { finalHeight } = this.core!.status;
    const reached = missing?.blocks.at(-1)?.header.height ?? this.final.height;
    if (missing === undefined || reached !== finalHeight) {
      this.world.invariants.fail(
        'recovery',
        `${this.name} restored its core at height ${finalHeight}, its records bring back blocks up to ${reached}`,
      );
    }
    if (missing?.certificate && missing.blocks.length > 0) this.#takeFinal(missing.blocks, missing.certificate);
    // The reader has acknowledged blocks up to a cursor; it gets what follows.
    const unread = this.final.above(this.world.invariants.cursor(this.place));
    if (unread.length > 0) this.#onFinal(unread, undefined);
  }

  crash(): void {
    this.core = undefined;
    this.disk.crash();
    this.exchange.stop();
    this.#bannedUntilMs.clear();
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
    this.#heard.input(input, this.world.schedule.weights);
    const visible: Output[] = [];
    for (const output of outputs) this.#take(output, visible);
    this.world.invariants.onStep();
    if (visible.length > 0) {
      this.disk.whenDurable(() => {
        for (const output of visible) this.#release(output);
      });
    }
  }

  #take(output: Output, visible: Output[]): void {
    switch (output.type) {
      case 'persist':
        this.disk.append({ type: 'record', record: output.record });
        this.#keepRecord(output.record);
        if (output.record.type === 'certificate') this.world.invariants.onTaken(this, output.record.certificate);
        if (output.record.type === 'vote')
          this.world.invariants.onVoteMade(this, output.record.vote, this.#view, this.#heard);
        return;
      case 'final':
        visible.push(output);
        this.#takeFinal(output.blocks, output.certificate);
        return;
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
        this.world.invariants.onEnteredView(this, output.view);
        this.world.note('enteredView', [this.place, output.view], () => `${this.name} enters view ${output.view}`);
        this.adversary?.enteredView?.(output.view, output.leader);
        return;
      case 'misbehaved':
        this.world.invariants.onMisbehaved(this, output.peer, output.reason);
        this.#bannedUntilMs.set(output.peer, this.world.nowMs + BAN_MS);
        this.later(BAN_MS, () => this.run({ type: 'peerConnected', peer: output.peer }));
        return;
      case 'evidence':
        this.world.invariants.onEvidence(this, output.evidence);
        return;
      case 'send':
      case 'soft':
        visible.push(output);
    }
  }

  /** What a step put out, now that all it rests on is durable. */
  #release(output: Output): void {
    if (output.type === 'send') {
      this.world.invariants.onSend(this, output.message);
      const targets = output.to === undefined ? this.world.othersThan(this.index) : [output.to];
      for (const to of targets) this.#sendBent(to, output.message);
    } else if (output.type === 'soft') {
      this.world.invariants.onSoft(this, output.block, output.certificate);
    } else if (output.type === 'final') {
      this.#onFinal(output.blocks, output.certificate);
    }
  }

  #sendBent(to: ValidatorIndex, message: ConsensusMessage): void {
    const instead = this.adversary?.send ? this.adversary.send(to, message) : [message];
    for (const each of instead) {
      if (each !== message) this.world.invariants.onByzantineMessage(each);
      this.sendMessage(to, each);
    }
  }

  sendMessage(to: ValidatorIndex, message: ConsensusMessage): void {
    const bytes = approximateBytes(message);
    for (const peer of this.world.at(to)) {
      this.world.network.send(this.place, peer.place, bytes, () => peer.receive(this, message));
    }
  }

  receive(from: SimulatedNode, message: ConsensusMessage): void {
    if (!this.up || (this.#bannedUntilMs.get(from.index) ?? 0) > this.world.nowMs) return;
    this.world.noteMessage(from, this, message);
    const decoded = this.world.roundTrip ? roundTrip(message) : message;
    this.run({ type: 'message', from: from.index, message: decoded });
    this.adversary?.received?.(from.index, message);
  }

  // ---------------------------------------------------------------- what is final

  #takeFinal(blocks: readonly Block[], certificate: Certificate): void {
    this.disk.append({ type: 'delivered', blocks, certificate });
    this.final.append(blocks, certificate);
    for (const block of blocks) this.#keepBlock(block);
    if (!this.world.checkpoints || this.final.height < this.#checkpointHeight + CHECKPOINT_EVERY_BLOCKS) return;
    this.#checkpointHeight = this.final.height;
    // Between two steps, as a real driver does: `checkpoint` speaks of the state after this one.
    this.later(0, () => {
      this.world.count('checkpoint');
      this.disk.append({ type: 'record', record: { type: 'checkpoint', checkpoint: this.core!.checkpoint() } });
      this.disk.whenDurable(() => {});
    });
  }

  #onFinal(blocks: readonly Block[], certificate: Certificate | undefined): void {
    this.world.invariants.onFinal(this, blocks, certificate);
    for (const { refs } of blocks) {
      const missing = refs.filter((ref) => !this.batches.get(ref.digest));
      if (missing.length > 0) this.exchange.fetchBatches(missing, [missing[0]!.author]);
    }
    this.checkBodies();
  }

  checkBodies(): void {
    let height = this.#bodiesHeight;
    while (this.final.at(height + 1)?.refs.every((ref) => this.batches.isDurable(ref.digest))) height++;
    if (height === this.#bodiesHeight) return;
    this.#bodiesHeight = height;
    this.later(0, () => this.run({ type: 'bodiesComplete', height }));
  }

  // ---------------------------------------------------------------- batches

  /** Seals a batch, unless too many of this lane wait (R1). */
  produce(): void {
    const lane = this.batches.lanes[this.index]!;
    const seq = lane.length;
    if (seq - this.final.nextSeq(this.index) >= MAX_UNORDERED_BATCHES_PER_LANE) return;
    const batch = this.world.makeBatch(this, seq, lane.at(-1)?.ref.digest);
    this.storeBatch(batch, () => {
      for (const to of this.world.peersOf(this)) this.exchange.spread(to, batch);
    });
  }

  /** Appends a batch to the log and tells the core; `then` runs once it is durable. */
  storeBatch(batch: HeldBatch, then: () => void): void {
    if (!this.batches.add(batch)) return;
    this.disk.append({ type: 'batch', batch });
    // Asked for before the core is told: whatever the core sends because of this batch waits behind it.
    this.disk.whenDurable(() => {
      this.batches.setDurable(batch);
      then();
      this.checkBodies();
    });
    this.run({ type: 'batchStored', batch });
  }

  // ---------------------------------------------------------------- what the invariants look at

  isVoteDurable(vote: Vote): boolean {
    return this.#durableVotes.has(vote);
  }

  isBatchDurable(digest: Uint8Array): boolean {
    return this.batches.isDurable(digest);
  }

  isBlockKnown(hash: string): boolean {
    return this.blocks.has(hash);
  }

  #keepRecord(record: ConsensusRecord): void {
    if (record.type === 'block') this.#keepBlock(record.block);
    if (record.type === 'checkpoint') {
      this.#keepBlock(record.checkpoint.finalized);
      for (const block of record.checkpoint.blocks) this.#keepBlock(block);
    }
  }

  #keepBlock(block: Block): void {
    this.blocks.set(toHex(blockHash(block.header)), block);
    this.world.invariants.onBlock(block);
  }
}

function approximateBytes(message: ConsensusMessage): number {
  if (message.type !== 'proposal') return 200;
  return 900 + 50 * message.proposal.block.refs.length + 200 * message.proposal.skips.length;
}

function roundTrip(message: ConsensusMessage): ConsensusMessage {
  const decoded = decodeValidatorMessage(encodeValidatorMessage(message));
  if (!decoded.ok) throw new Error(`a message does not survive its own encoding: ${decoded.error.reason}`);
  return decoded.value as ConsensusMessage;
}
