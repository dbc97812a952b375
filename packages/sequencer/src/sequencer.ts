/**
 * The sequencer between its edges: what comes from peers and clients goes into the actor's turns, what a turn brings out
 * goes to peers, feed and listeners. Everything real (network, store, clock) is handed in by `node.ts`.
 */

import { type Consensus, type ConsensusRecord, type EpochEndedRecord, sinceLastEpoch } from '@squad/consensus';
import { createVoteScheme } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import type { Channel, GossipVerdict, Network, NetworkHandlers, PeerId } from '@squad/network';
import {
  type Block,
  type BlockHeader,
  type Certificate,
  decodeValidatorMessage,
  type Epoch,
  encodeValidatorMessage,
  type Height,
  type L1BlockId,
  type RollupId,
  type SignedBatchHeader,
  type TransactionHash,
  toHex,
  type ValidatorIndex,
  type ValidatorSet,
} from '@squad/types';
import { Actor, type Effect } from './actor.ts';
import { notReady } from './admission/rejection.ts';
import { Bodies } from './bodies.ts';
import { type PreparedEpoch, prepareEpoch, tellWaiting } from './epoch-change.ts';
import { EpochRun, type NetworkSet } from './epoch-run.ts';
import { EpochSets, EvidenceKeeper } from './evidence/index.ts';
import type { Feed } from './feed/index.ts';
import { GossipIntake } from './gossip-intake.ts';
import { HandOn } from './hand-on.ts';
import { HandOvers } from './hand-overs.ts';
import { HashPrefixes } from './hash-prefixes.ts';
import type { HeldLanes } from './held-lanes.ts';
import { bytesOf, Intake } from './intake.ts';
import { answerRequest } from './peer-requests.ts';
import { Pruner } from './pruning.ts';
import { heldBatch } from './records.ts';
import { readRecords, rememberOwnTransactions } from './restart.ts';
import type { Bundle, BundleOutcome, Head, LanePlaces, StagedBlock, SubmitOutcome } from './rpc/api.ts';
import type { SequencerParts } from './sequencer-parts.ts';
import { type SequencerSizes, sizesOf } from './sizes.ts';
import { TransactionIndexer } from './transaction-indexer.ts';
import { findTransaction } from './transaction-lookup.ts';
import { Transactions } from './transactions.ts';
import { Turns } from './turns.ts';

const STARTING = 'it is starting';
/** Final blocks without all of their bodies that a node may have and still serve: those that peers are still sending. */
const READY_BODIES_BEHIND_BLOCKS = 16;

export class Sequencer {
  readonly #parts: SequencerParts;
  readonly transactions: Transactions;
  readonly bodies: Bodies;
  readonly indexer: TransactionIndexer;
  readonly #pruner: Pruner;
  readonly evidence: EvidenceKeeper;
  readonly handOvers: HandOvers;
  readonly #actor: Actor<PreparedEpoch>;
  readonly #hashPrefixes = new HashPrefixes();
  readonly #handOn: HandOn;
  readonly #intake: Intake;
  readonly #gossip: GossipIntake;
  readonly #turns = new Turns();
  readonly #listeners = new Set<(staged: StagedBlock, certificate: Certificate) => void>();
  /** Of the epoch that is ordered now. */
  #run: EpochRun;
  readonly #restored: readonly SignedBatchHeader[];
  #network!: Network;
  #feed!: Feed;
  #isStarted = false;
  #soft: Head;
  #final: Head;

  /** Replays the store's log. */
  static async open(parts: SequencerParts): Promise<Sequencer> {
    const { records, batches } = await readRecords(parts.store);
    const sequencer = new Sequencer(parts, records, batches);
    const { startedBy } = sequencer.#run;
    if (startedBy) await sequencer.handOvers.keep(startedBy.proof);
    await sequencer.evidence.open();
    return sequencer;
  }

  private constructor(
    parts: SequencerParts,
    allRecords: readonly ConsensusRecord[],
    batches: readonly SignedBatchHeader[],
  ) {
    const { genesis, store, now, logger, metrics } = parts;
    this.#parts = parts;
    this.handOvers = new HandOvers(store);
    const isOrdered = async (hash: TransactionHash) => (await findTransaction(store, hash)) !== undefined;
    const { ended, records } = sinceLastEpoch(allRecords);
    const validatorSet = ended?.proof.nextValidatorSet ?? genesis.validatorSet;
    // Of earlier epochs only what is to be given away is recorded behind the end of the last one.
    const isOfThisEpoch = ({ header }: SignedBatchHeader) => header.epoch === validatorSet.epoch;
    this.#restored = batches.filter(isOfThisEpoch);
    this.#handOn = new HandOn(
      {
        store,
        publish: (message) => this.#network.publish(message),
        isOrdered,
        onOrdered: (hashes) => this.transactions.forget(hashes),
        now,
        logger,
      },
      batches.filter((signed) => !isOfThisEpoch(signed)),
    );
    this.#run = this.#createRun(validatorSet, ended, records, this.#restored);
    const { self, lane, core } = this.#run;
    this.transactions = new Transactions(self);
    this.indexer = new TransactionIndexer({ store, hashPrefixes: this.#hashPrefixes, logger });
    this.bodies = new Bodies({
      store,
      fetcher: { fetch: (refs, holders) => this.#run.finalBatches.fetch(refs, holders) },
      keepBodies: parts.keepBodies,
      logger,
      onComplete: (height) => {
        this.#actor.submit({ type: 'bodiesComplete', height });
        // A node that is behind catches up first, and looks for transactions then.
        if (!this.#isBehind(height)) this.indexer.onComplete(height);
        this.#pruner.onProgress();
        metrics.bodiesFrom(this.bodies.from);
      },
    });
    this.#pruner = new Pruner({
      store,
      bodies: this.bodies,
      keepBodies: parts.keepBodies,
      unordered: () => [...this.#run.lanes.unordered(), ...this.#handOn.headers],
      whenDurable: (callback) => this.#actor.whenDurable(callback),
      logger,
    });
    this.#actor = new Actor({
      first: this.#run,
      checkpointIntervalBlocks: parts.checkpointIntervalBlocks,
      store,
      now,
      onEffect: (effect) => this.#onEffect(effect),
      onBatchesDurable: (stored, authors) => this.#run.spread.onDurable(stored, authors),
      onEpochEnding: ({ proof }) => this.#intake.hold(parts.placeIn(proof.nextValidatorSet) !== undefined),
      nextEpoch: (end, own) => {
        const next = this.#createRun(end.proof.nextValidatorSet, end, [], []);
        return prepareEpoch(this.#run, next, own, { nowMs: now(), handOn: this.#handOn });
      },
      onEpochBegun: (next) => this.#beginEpoch(next),
      onFailure: parts.onFailure,
    });
    this.evidence = new EvidenceKeeper({
      networkId: genesis.networkId,
      epochs: new EpochSets(
        {
          first: genesis.validatorSet,
          handOvers: this.handOvers,
          createVerifier: (set) => parts.createScheme?.(set, undefined) ?? createVoteScheme(blstBls, set),
          placeIn: parts.placeIn,
        },
        validatorSet,
      ),
      nameOf: ({ nodePublicKey }) => parts.validatorSets.describe(nodePublicKey)?.name ?? toHex(nodePublicKey),
      store,
      network: () => this.#network,
      metrics,
      logger,
      now,
      blame: (peer, reason) => this.#blame(peer, reason),
      onFailure: parts.onFailure,
    });
    this.#intake = new Intake(
      {
        rollups: genesis.file.rollups,
        admission: parts.admission,
        transactions: this.transactions,
        metrics,
        now,
        batchAgeMs: parts.batchAgeMs,
        store: (batches) => this.#actor.storeBundle(batches),
        spread: (batch, prefixes) => this.#run.spread.send(batch, prefixes),
        notReadyReasons: () => this.notReadyReasons(),
      },
      lane,
    );
    this.#gossip = new GossipIntake({
      rollups: genesis.file.rollups,
      admission: parts.admission,
      place: () => ({ self: this.#run.self, validators: this.#run.validatorSet.validators.length }),
      takeoverMs: parts.gossipTakeoverMs,
      now,
      take: (rollupId, hash, transaction) => this.#intake.take(rollupId, hash, transaction),
      isOrdered,
      logger,
    });
    this.#soft = { block: core.finalBlock, lagMs: 0 };
    this.#final = this.#soft;
  }

  #createRun(
    validatorSet: ValidatorSet,
    startedBy: EpochEndedRecord | undefined,
    records: readonly ConsensusRecord[],
    batches: readonly SignedBatchHeader[],
  ): EpochRun {
    return new EpochRun({
      parts: this.#parts,
      validatorSet,
      startedBy,
      records,
      batches,
      handOn: this.#handOn,
      actor: () => this.#actor,
      network: () => this.#network,
      hashPrefixes: this.#hashPrefixes,
      onHeldByQuorum: (seq) => this.#intake.acknowledged(seq),
      onEvidence: (evidence) => this.evidence.found(evidence),
      blame: (peer, reason) => this.#blame(peer, reason),
    });
  }

  /** The core of the epoch that is ordered now. */
  get core(): Consensus {
    return this.#run.core;
  }

  get epoch(): Epoch {
    return this.#run.epoch;
  }

  get validatorSet(): ValidatorSet {
    return this.#run.validatorSet;
  }

  /** This node's place in the set of now. */
  get self(): ValidatorIndex | undefined {
    return this.#run.self;
  }

  /** All lanes as they are held here. */
  get lanes(): HeldLanes {
    return this.#run.lanes;
  }

  /** The validators of now, as the network has to know them. */
  get networkSet(): NetworkSet {
    return this.#run.networkSet;
  }

  get soft(): Head {
    return this.#soft;
  }

  get final(): Head {
    return this.#final;
  }

  get laneDepth(): number {
    return this.#run.lane?.unordered ?? 0;
  }

  get sizes(): SequencerSizes {
    return sizesOf(this.#run, this.#actor, this.#turns, this.#gossip, this.#hashPrefixes, this);
  }

  /** What the network calls. */
  readonly handlers: NetworkHandlers = {
    onFrame: (from, channel, frame) => this.#onFrame(from, channel, frame),
    onValidatorConnected: (peer) => this.#onConnected(peer),
    onValidatorDisconnected: (peer) => {
      this.#parts.logger.info({ peer }, 'validator disconnected');
      this.#actor.submit({ type: 'peerDisconnected', peer });
    },
    onRequest: (_from, protocol, request) =>
      answerRequest(protocol, request, {
        store: this.#parts.store,
        core: this.core,
        handOvers: this.handOvers,
        epochLengthBlocks: this.#parts.genesis.file.epochLengthBlocks,
      }),
    onGossip: (_from, message): Promise<GossipVerdict> => this.#gossip.onMessage(message),
    onFeed: (stream) => this.#feed.onStream(stream),
  };

  /** What is confirmed of the L1 (R24): said again and again, so that each epoch's core hears it. */
  readonly seeL1 = (blocks: readonly L1BlockId[]): void => this.#actor.submit({ type: 'l1Blocks', blocks });

  /** Before the network starts: what comes from it has to find the core started. */
  async start(network: Network, feed: Feed): Promise<void> {
    this.#network = network;
    this.#feed = feed;
    await rememberOwnTransactions(this.#run, this.#parts.store, this.transactions);
    this.#startRun(this.#restored);
    // Not before: the core's first input is its start.
    this.#parts.validatorSets.onChange(() => this.#actor.submit({ type: 'tick' }));
    await this.bodies.start();
    this.#handOn.start();
    this.#isStarted = true;
  }

  async stop(): Promise<void> {
    this.#parts.validatorSets.stop();
    this.#run.stop();
    this.#gossip.stop();
    this.#intake.stop();
    await this.#handOn.stop();
    await this.bodies.stop();
    await this.#pruner.stop();
    await this.indexer.stop();
    await this.#actor.stop();
    await this.evidence.stop();
  }

  /** Each block when it becomes soft, and again when it becomes final; after it is durable here. */
  listen(listener: (staged: StagedBlock, certificate: Certificate) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Why this node is not ready for clients; empty if it is. */
  notReadyReasons(): string[] {
    if (!this.#isStarted) return [STARTING];
    const reasons: string[] = [];
    const { finalHeight } = this.core.status;
    if (!(this.#run.follower ?? this.core.status).sawHead) reasons.push('it has not seen the set’s present head yet');
    if (this.#isBehind(this.bodies.complete)) reasons.push(this.bodies.progress(finalHeight));
    const { connectedValidators } = this.#network;
    const faults = [this.#run.outOfReach(connectedValidators), this.#run.heldUp(connectedValidators)];
    return [...reasons, ...faults.filter((fault) => fault !== undefined)];
  }

  /** With bodies held up to this height. */
  #isBehind(complete: Height): boolean {
    return this.core.status.finalHeight - complete > READY_BODIES_BEHIND_BLOCKS;
  }

  // ---------------------------------------------------------------- clients

  async submit(
    rollupId: RollupId,
    transactions: readonly Uint8Array[],
    onPlaced?: (places: readonly LanePlaces[]) => void,
  ): Promise<readonly SubmitOutcome[]> {
    if (!this.#isStarted) return transactions.map(() => ({ accepted: false, rejection: notReady([STARTING]) }));
    await this.#turns.next(bytesOf(transactions));
    return this.#intake.submit(rollupId, transactions, onPlaced);
  }

  async submitBundle(bundle: Bundle): Promise<BundleOutcome> {
    if (!this.#isStarted) return { accepted: false, index: undefined, rejection: notReady([STARTING]) };
    await this.#turns.next(bytesOf(bundle.map(({ transaction }) => transaction)));
    return this.#intake.submitBundle(bundle);
  }

  // ---------------------------------------------------------------- peers

  #onFrame(from: ValidatorIndex, _channel: Channel, frame: Uint8Array): void {
    const decoded = decodeValidatorMessage(frame);
    if (!decoded.ok) {
      return this.#blame(from, `sent a frame that is none: ${decoded.error.what}: ${decoded.error.reason}`);
    }
    // Far behind the disk: what is dropped here is sent again.
    if (!this.#actor.hasRoomFor(frame.length)) return;
    const message = decoded.value;
    switch (message.type) {
      case 'batch': {
        if (!this.#turns.hasRoomFor(frame.length)) return;
        const { spread } = this.#run; // `from` is a place in the set of now
        return this.#turns.take(frame.length, () => spread.onBatch(from, message));
      }
      case 'acknowledgements':
        if (message.epoch !== this.epoch) return; // of other lanes
        this.#run.spread.onAcknowledgements(from, message.acknowledgements);
        return this.#actor.submit(
          { type: 'acknowledged', from, acknowledgements: message.acknowledgements },
          frame.length,
        );
      case 'evidence':
        return this.evidence.onMessage(from, message.evidence);
      default:
        this.#actor.submit({ type: 'message', from, message }, frame.length);
    }
  }

  #onConnected(peer: ValidatorIndex): void {
    this.#parts.logger.info({ peer }, 'validator connected');
    this.#run.spread.onConnected(peer);
    this.evidence.onConnected(peer);
    this.#actor.submit({ type: 'peerConnected', peer });
  }

  #blame(peer: ValidatorIndex | PeerId, reason: string): void {
    this.#parts.logger.warn({ peer, reason }, 'disconnecting a validator that misbehaved');
    this.#parts.metrics.misbehaved.increment();
    this.#network.disconnect(peer, reason);
  }

  // ---------------------------------------------------------------- what a turn brought out

  #onEffect(effect: Effect): void {
    const { metrics } = this.#parts;
    switch (effect.type) {
      case 'send':
        return this.#network.send(effect.to ?? 'all', 'consensus', encodeValidatorMessage(effect.message));
      case 'fetchBatches':
        return this.#run.provideBatches(effect.refs, effect.holders);
      case 'fetchBlock':
        return void this.#run.blocks.fetchBlock(effect.hash, effect.holders);
      case 'fetchRange':
        return void this.#run.blocks.fetchRange(effect.fromHeight, effect.holders);
      case 'fetchHandOver':
        return void this.#run.blocks.fetchHandOver(effect.epoch, effect.holders);
      case 'soft':
        return this.#onSoft(effect.block, effect.certificate);
      case 'final':
        return this.#onFinal(effect.blocks, effect.certificate, effect.path);
      case 'enteredView':
        return metrics.enteredView(effect.view);
      case 'misbehaved':
        return this.#blame(effect.peer, effect.reason);
      case 'otherNextSet':
        return this.#parts.logger.warn(
          { leader: effect.leader, hash: toHex(effect.hash) },
          'a leader names another next validator set than this node: compare the validator schedules of both operators',
        );
      case 'evidence':
        return this.evidence.found(effect.evidence);
      case 'epochEnded':
        return; // `#beginEpoch` follows
    }
  }

  #onSoft(block: Block, certificate: Certificate): void {
    this.#soft = this.#headOf(block);
    this.transactions.placed('soft', block);
    this.#feed.onSoft(block, certificate);
    this.#tell({ stage: 'soft', block }, certificate);
  }

  #onFinal(blocks: readonly Block[], certificate: Certificate, path: readonly BlockHeader[] = []): void {
    for (const block of blocks) {
      this.#final = this.#headOf(block);
      this.transactions.placed('final', block);
      const own = block.refs.filter(({ author }) => author === this.#run.self);
      this.#intake.ordered(own.length, own.at(-1)?.seq ?? 0);
      this.#parts.metrics.finalized(block, this.#final.lagMs);
    }
    if (this.#final.block.header.height > this.#soft.block.header.height) this.#soft = this.#final;
    this.bodies.onFinal(this.#final.block.header.height);
    this.#feed.onFinal(blocks, certificate, path);
    for (const block of blocks) this.#tell({ stage: 'final', block }, certificate);
  }

  #headOf(block: Block): Head {
    return { block, lagMs: Math.max(0, this.#parts.now() - block.header.timestampMs) };
  }

  #tell(staged: StagedBlock, certificate: Certificate): void {
    for (const listener of this.#listeners) {
      try {
        listener(staged, certificate);
      } catch (error) {
        // A fault in what watches must not stop what orders.
        this.#parts.logger.error({ err: error }, 'a listener failed');
      }
    }
  }

  // ---------------------------------------------------------------- from epoch to epoch (R22)

  #startRun(restored: readonly SignedBatchHeader[]): void {
    this.#actor.submit({ type: 'start' });
    for (const signed of restored) this.#actor.submit({ type: 'batchStored', batch: heldBatch(signed) });
    this.#run.start();
  }

  #beginEpoch(prepared: PreparedEpoch): void {
    const { ordering: run, placeOf, places, resealed, givenUp } = prepared;
    this.#run.end();
    this.#run = run;
    const { self, validatorSet, startedBy } = run;
    this.handOvers.keep(startedBy!.proof).catch((error: unknown) => this.#parts.onFailure(error));
    this.transactions.beginEpoch(self, places);
    this.transactions.forget(givenUp);
    tellWaiting(prepared);
    this.evidence.epochBegan(validatorSet, placeOf);
    const { logger } = this.#parts;
    logger.info(run.summary, `a new epoch began${self === undefined ? '; this node does not validate it' : ''}`);
    this.#network.changeValidators(run.networkSet.validators, self);
    this.#startRun(resealed.map(({ batch }) => batch.signed));
    for (const batch of resealed) run.spread.send(batch);
    this.#actor.submit({ type: 'bodiesComplete', height: this.bodies.complete });
    this.#intake.changeLane(run.lane);
    this.#handOn.start();
  }
}
