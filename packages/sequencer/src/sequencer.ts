/**
 * The sequencer between its edges: what comes from peers and clients goes into the actor's turns, what a turn brings out
 * goes to peers, feed and listeners. Everything real (network, store, clock) is handed in by `node.ts`.
 */

import { Consensus, type ConsensusRecord, DEFAULT_CONSENSUS_OPTIONS } from '@squad/consensus';
import { createVoteScheme, type NodeKey, type VoteScheme } from '@squad/crypto';
import { blstBls, keccak256 } from '@squad/crypto/node';
import type { Channel, GossipVerdict, Network, NetworkHandlers } from '@squad/network';
import type { Logger } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import {
  type BatchDigest,
  type BatchRef,
  type Block,
  batchDigest,
  bodyTransactions,
  type Certificate,
  decodeBatch,
  decodeValidatorMessage,
  encodeValidatorMessage,
  type Genesis,
  quorumWeight,
  type RollupId,
  type SignedBatchHeader,
  toHex,
  totalWeight,
  type ValidatorIndex,
  weightOf,
} from '@squad/types';
import { Actor, type Effect } from './actor.ts';
import type { Admission } from './admission/admission.ts';
import { notReady } from './admission/rejection.ts';
import { BatchFetcher } from './batch-fetcher.ts';
import { BlockFetcher } from './block-fetcher.ts';
import { Bodies } from './bodies.ts';
import { EvidenceKeeper } from './evidence/index.ts';
import type { Feed } from './feed/index.ts';
import { GossipIntake } from './gossip-intake.ts';
import { HashPrefixes } from './hash-prefixes.ts';
import { HeldLanes } from './held-lanes.ts';
import { Intake } from './intake.ts';
import { Lane } from './lane.ts';
import { answerRequest } from './peer-requests.ts';
import { decodeRecord, heldBatch } from './records.ts';
import type { LanePlaces, StagedBlock, SubmitOutcome } from './rpc/api.ts';
import type { SequencerMetrics } from './sequencer-metrics.ts';
import { Spread } from './spread.ts';
import { TransactionIndexer } from './transaction-indexer.ts';
import { findTransaction } from './transaction-lookup.ts';
import { Transactions } from './transactions.ts';
import { Turns } from './turns.ts';

const STARTING = 'it is starting';
/** Final blocks without all of their bodies that a node may have and still serve: those that peers are still sending. */
const READY_BODIES_BEHIND_BLOCKS = 16;

export interface SequencerParts {
  readonly genesis: Genesis;
  readonly self: ValidatorIndex | undefined;
  readonly nodeKey: NodeKey;
  readonly blsSecretKey: Uint8Array | undefined;
  readonly store: NodeStore;
  readonly admission: Admission;
  readonly logger: Logger;
  readonly metrics: SequencerMetrics;
  readonly now: () => number;
  readonly batchBytes: number;
  readonly batchAgeMs: number;
  readonly heartbeatMs: number;
  readonly gossipTakeoverMs: number;
  readonly onFailure: (error: unknown) => void;
  /** How votes are signed and checked. Default: BLS by blst with `blsSecretKey`. */
  readonly scheme?: VoteScheme;
}

export interface Head {
  readonly block: Block;
  /** Milliseconds from the block's timestamp until it got this far here. */
  readonly lagMs: number;
}

export class Sequencer {
  readonly #parts: SequencerParts;
  readonly core: Consensus;
  readonly lanes: HeldLanes;
  readonly transactions: Transactions;
  readonly bodies: Bodies;
  readonly indexer: TransactionIndexer;
  readonly evidence: EvidenceKeeper;
  readonly #actor: Actor;
  readonly #fetcher: BatchFetcher;
  readonly #blocks: BlockFetcher;
  readonly #intake: Intake;
  readonly #gossip: GossipIntake;
  readonly #spread: Spread;
  readonly #turns = new Turns();
  readonly #lane: Lane | undefined;
  readonly #restored: readonly SignedBatchHeader[];
  readonly #listeners = new Set<(staged: StagedBlock, certificate: Certificate) => void>();
  #network!: Network;
  #feed!: Feed;
  #isStarted = false;
  #soft: Head;
  #final: Head;

  /** Replays the store's log. */
  static async open(parts: SequencerParts): Promise<Sequencer> {
    const records: ConsensusRecord[] = [];
    let batches: SignedBatchHeader[] = [];
    for await (const record of parts.store.replayConsensus()) {
      const decoded = decodeRecord(record);
      if (decoded.type === 'batch') batches.push(decoded.signed);
      else records.push(decoded);
      if (decoded.type === 'checkpoint') batches = [];
    }
    const sequencer = new Sequencer(parts, records, batches);
    await sequencer.evidence.open();
    return sequencer;
  }

  private constructor(
    parts: SequencerParts,
    records: readonly ConsensusRecord[],
    batches: readonly SignedBatchHeader[],
  ) {
    const { genesis, self, store, now, logger, nodeKey } = parts;
    const { validatorSet, networkId } = genesis;
    this.#parts = parts;
    const scheme = parts.scheme ?? createVoteScheme(blstBls, validatorSet, parts.blsSecretKey);
    this.core = new Consensus(
      {
        networkId,
        genesisTimeMs: genesis.file.genesisTimeMs,
        validatorSet,
        self,
        scheme,
        options: { ...DEFAULT_CONSENSUS_OPTIONS, heartbeatMs: parts.heartbeatMs },
      },
      now(),
      records,
    );
    this.lanes = new HeldLanes(validatorSet.validators.length);
    validatorSet.validators.forEach((_, author) => {
      const { nextSeq, lastDigest } = this.core.laneTip(author);
      this.lanes.setFinalTip(author, nextSeq, lastDigest);
    });
    this.#restored = batches;
    for (const signed of batches) this.#restoreBatch(signed);
    this.transactions = new Transactions(self);
    const fetching = {
      networkId,
      validatorSet,
      self,
      network: () => this.#network,
      isHeld: (digest: BatchDigest) => store.hasBatch(digest),
      logger,
    };
    this.#fetcher = new BatchFetcher({ ...fetching, store: (batch) => this.#actor.storeBatch(batch) });
    const finalFetcher = new BatchFetcher({ ...fetching, store: (batch) => this.#actor.storeFinalBatch(batch) });
    const hashPrefixes = new HashPrefixes();
    this.indexer = new TransactionIndexer({ store, hashPrefixes, logger });
    this.bodies = new Bodies({
      store,
      fetcher: finalFetcher,
      logger,
      onComplete: (height) => {
        this.#actor.submit({ type: 'bodiesComplete', height });
        this.indexer.onComplete(height);
      },
    });
    this.#actor = new Actor({
      core: this.core,
      store,
      lanes: this.lanes,
      self,
      now,
      onEffect: (effect) => this.#onEffect(effect),
      onBatchesDurable: (stored, authors) => this.#spread.onDurable(stored, authors),
      onFailure: parts.onFailure,
    });
    if (self !== undefined) {
      const { epoch } = validatorSet;
      this.#lane = new Lane(
        { networkId, epoch, author: self, key: nodeKey, batchBytes: parts.batchBytes },
        this.lanes.head(self),
      );
    }
    const blame = (peer: ValidatorIndex, reason: string) => this.#blame(peer, reason);
    const { metrics } = parts;
    this.evidence = new EvidenceKeeper({
      genesis,
      self,
      voteVerifier: scheme,
      store,
      network: () => this.#network,
      metrics,
      logger,
      now,
      blame,
      onFailure: parts.onFailure,
    });
    this.#spread = new Spread({
      genesis,
      self,
      lanes: this.lanes,
      actor: this.#actor,
      store,
      network: () => this.#network,
      hashPrefixes,
      onHeldByQuorum: (seq) => this.#intake.acknowledged(seq),
      random: Math.random,
      metrics,
      logger,
      now,
      blame,
      onEvidence: (evidence) => this.evidence.found(evidence),
    });
    this.#blocks = new BlockFetcher({
      network: () => this.#network,
      submit: (input) => this.#actor.submit(input),
      blame,
      logger,
    });
    this.#intake = new Intake({
      lane: this.#lane,
      rollups: genesis.file.rollups,
      admission: parts.admission,
      transactions: this.transactions,
      metrics,
      now,
      batchAgeMs: parts.batchAgeMs,
      store: (batch) => this.#actor.storeBatch(batch),
      spread: (batch, prefixes) => this.#spread.send(batch, prefixes),
      notReadyReasons: () => this.notReadyReasons(),
    });
    this.#gossip = new GossipIntake({
      rollups: genesis.file.rollups,
      admission: parts.admission,
      self,
      validators: validatorSet.validators.length,
      takeoverMs: parts.gossipTakeoverMs,
      now,
      take: (rollupId, hash, transaction) => this.#intake.take(rollupId, hash, transaction),
      isOrdered: async (hash) => (await findTransaction(store, hash)) !== undefined,
      logger,
    });
    const head: Head = { block: this.core.finalBlock, lagMs: 0 };
    this.#soft = head;
    this.#final = head;
  }

  get soft(): Head {
    return this.#soft;
  }

  get final(): Head {
    return this.#final;
  }

  get laneDepth(): number {
    return this.#lane?.unordered ?? 0;
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
      answerRequest(protocol, request, { store: this.#parts.store, core: this.core }),
    onGossip: (_from, message): Promise<GossipVerdict> => this.#gossip.onMessage(message),
    onFeed: (stream) => this.#feed.onStream(stream),
  };

  /** Before the network starts: what comes from it has to find the core started. */
  async start(network: Network, feed: Feed): Promise<void> {
    this.#network = network;
    this.#feed = feed;
    await this.#rememberOwnTransactions();
    this.#actor.submit({ type: 'start' });
    for (const signed of this.#restored) this.#actor.submit({ type: 'batchStored', batch: heldBatch(signed) });
    await this.bodies.start();
    this.#spread.start();
    this.#isStarted = true;
  }

  async stop(): Promise<void> {
    this.#spread.stop();
    this.#gossip.stop();
    this.#intake.stop();
    await this.bodies.stop();
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
    const { sawHead, finalHeight } = this.core.status;
    if (!sawHead) reasons.push('it has not seen the set’s present head yet');
    const behind = finalHeight - this.bodies.complete;
    if (behind > READY_BODIES_BEHIND_BLOCKS) reasons.push(`it is fetching the bodies of ${behind} final blocks`);
    const { validatorSet } = this.#parts.genesis;
    const { self } = this.#parts;
    const reached = [...this.#network.connectedValidators, ...(self === undefined ? [] : [self])];
    const weight = weightOf(validatorSet, reached);
    const quorum = quorumWeight(totalWeight(validatorSet));
    if (weight < quorum) {
      reasons.push(
        `it reaches validators of weight ${weight}, less than a quorum of ${quorum}: nothing can become final`,
      );
    }
    return reasons;
  }

  // ---------------------------------------------------------------- clients

  async submit(
    rollupId: RollupId,
    transactions: readonly Uint8Array[],
    onPlaced?: (places: readonly LanePlaces[]) => void,
  ): Promise<readonly SubmitOutcome[]> {
    if (!this.#isStarted) return transactions.map(() => ({ accepted: false, rejection: notReady([STARTING]) }));
    await this.#turns.next(0);
    return this.#intake.submit(rollupId, transactions, onPlaced);
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
      case 'batch':
        if (!this.#turns.hasRoomFor(frame.length)) return;
        return this.#turns.take(frame.length, () => this.#spread.onBatch(from, message.batch, message.hashPrefixes));
      case 'acknowledgements':
        this.#spread.onAcknowledgements(from, message.acknowledgements);
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
    this.#spread.onConnected(peer);
    this.evidence.onConnected(peer);
    this.#actor.submit({ type: 'peerConnected', peer });
  }

  #blame(peer: ValidatorIndex, reason: string): void {
    this.#parts.logger.warn({ peer, reason }, 'disconnecting a validator that misbehaved');
    this.#parts.metrics.misbehaved.increment();
    this.#network.disconnect(peer, reason);
  }

  // ---------------------------------------------------------------- what a turn brought out

  #onEffect(effect: Effect): void {
    const { metrics } = this.#parts;
    switch (effect.type) {
      case 'send': {
        const frame = encodeValidatorMessage(effect.message);
        return this.#network.send(effect.to ?? 'all', 'consensus', frame);
      }
      case 'fetchBatches':
        return this.#provideBatches(effect.refs, effect.holders);
      case 'fetchBlock':
        return void this.#blocks.fetchBlock(effect.hash, effect.holders);
      case 'fetchRange':
        return void this.#blocks.fetchRange(effect.fromHeight, effect.holders);
      case 'soft':
        return this.#onSoft(effect.block, effect.certificate);
      case 'final':
        return this.#onFinal(effect.blocks, effect.certificate);
      case 'enteredView':
        return metrics.enteredView(effect.view);
      case 'misbehaved':
        return this.#blame(effect.peer, effect.reason);
      case 'evidence':
        return this.evidence.found(effect.evidence);
    }
  }

  /**
   * The core may ask for what the store has: the other batch of a lane that forks is not in a checkpoint, and one that
   * came before its place was in the core's window was not counted then.
   */
  #provideBatches(refs: readonly BatchRef[], holders: readonly ValidatorIndex[]): void {
    const provide = async () => {
      const missing: BatchRef[] = [];
      for (const ref of refs) {
        const bytes = await this.#parts.store.readBatch(toHex(ref.digest));
        const held = bytes && decodeBatch(bytes);
        if (held?.ok) this.#actor.submit({ type: 'batchStored', batch: heldBatch(held.value.signed, ref.digest) });
        else missing.push(ref);
      }
      await this.#fetcher.fetch(missing, holders);
    };
    provide().catch((error: unknown) => this.#parts.logger.error({ err: error }, 'batches could not be looked up'));
  }

  #onSoft(block: Block, certificate: Certificate): void {
    this.#soft = this.#headOf(block);
    this.transactions.placed('soft', block);
    this.#feed.onSoft(block, certificate);
    this.#tell({ stage: 'soft', block }, certificate);
  }

  #onFinal(blocks: readonly Block[], certificate: Certificate): void {
    for (const block of blocks) {
      this.#final = this.#headOf(block);
      this.transactions.placed('final', block);
      const own = block.refs.filter(({ author }) => author === this.#parts.self);
      this.#intake.ordered(own.length, own.at(-1)?.seq ?? 0);
      this.#parts.metrics.finalized(block, this.#final.lagMs);
    }
    if (this.#final.block.header.height > this.#soft.block.header.height) this.#soft = this.#final;
    this.bodies.onFinal(this.#final.block.header.height);
    this.#feed.onFinal(blocks, certificate);
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

  // ---------------------------------------------------------------- restart

  #restoreBatch(signed: SignedBatchHeader): void {
    const digest = batchDigest(signed.header);
    if (this.lanes.standing(signed.header, digest) === 'new') this.lanes.add(signed, digest);
  }

  /** Own batches that are not final yet: their transactions are pending again. */
  async #rememberOwnTransactions(): Promise<void> {
    const { self, store } = this.#parts;
    if (self === undefined) return;
    for (const { header } of this.lanes.unordered()) {
      if (header.author !== self) continue;
      const bytes = await store.readBatch(toHex(batchDigest(header)));
      const batch = bytes && decodeBatch(bytes);
      if (!batch?.ok) continue;
      const hashes = bodyTransactions(batch.value.body).map((transaction) => toHex(keccak256(transaction)));
      for (const hash of hashes) this.transactions.accept(hash, header.rollupId);
      this.transactions.sealed(header.seq, header.rollupId, hashes);
    }
  }
}
