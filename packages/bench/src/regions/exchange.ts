/**
 * What a validator does besides consensus: seals its own batches and spreads them, takes those of others and acknowledges them,
 * asks for what is missing and answers who asks. As `sequencer/src/spread.ts` and its fetchers, on links that lose nothing.
 */

import { BatchStore, hexOf } from '@squad/consensus/sim';
import {
  type Acknowledgement,
  type BatchRef,
  Block,
  encodeValidatorMessage,
  type Height,
  MAX_UNORDERED_BATCHES_PER_LANE,
  toHex,
  type ValidatorIndex,
  ZERO_HASH,
} from '@squad/types';
import type { RegionNode } from './node.ts';
import type { SealedBatch } from './world.ts';

/** As in `sequencer/src/spread.ts`. */
const ACKNOWLEDGE_INTERVAL_MS = 25;
/** A request for blocks or batches, about. */
const REQUEST_BYTES = 100;

export class Exchange {
  readonly #node: RegionNode;
  readonly #batches: BatchStore;
  /** By digest, those that have arrived: what comes again costs no check. */
  readonly #taken = new Set<string>();
  /** Lanes that have moved since the last acknowledgement. */
  readonly #moved = new Set<ValidatorIndex>();
  #isAcknowledging = false;
  #nextSeq = 0;
  #lastDigest: Uint8Array = ZERO_HASH;
  #asked = 0;

  constructor(node: RegionNode) {
    this.#node = node;
    this.#batches = new BatchStore(node.world.size);
  }

  // ---------------------------------------------------------------- spreading

  /** R1, R20: sealed, durable, and then on its way to all others. False if too many wait. */
  seal(): boolean {
    const node = this.#node;
    const { costs, batchBytes } = node.world;
    if (this.#nextSeq - node.final.nextSeq(0, node.index) >= MAX_UNORDERED_BATCHES_PER_LANE) return false;
    const batch = node.world.makeBatch(node.index, this.#nextSeq++, this.#lastDigest);
    this.#lastDigest = batch.ref.digest;
    node.cpu.run(
      () => costs.sealBatch(batchBytes),
      () => this.#store(batch, () => this.#spread(batch, node.peers)),
    );
    return true;
  }

  /** R4: one copy after the other; the next is made while this one leaves, and other work comes between them. */
  #spread(batch: SealedBatch, [peer, ...others]: readonly RegionNode[]): void {
    if (peer) this.#send(batch, peer, () => this.#spread(batch, others));
  }

  #send(batch: SealedBatch, peer: RegionNode, then: () => void = () => {}): void {
    const { index, cpu, world } = this.#node;
    const { costs, links, queue, batchBytes } = world;
    const costUs = costs.dataFrame(batchBytes);
    cpu.run(
      () => costUs,
      () => {
        const leftUs = links.send(index, peer.index, batchBytes, queue.nowMs, () => peer.exchange.#receive(batch));
        queue.at(leftUs - costUs, then);
      },
    );
  }

  #receive(batch: SealedBatch): void {
    const { costs, batchBytes } = this.#node.world;
    const name = hexOf(batch.ref.digest);
    this.#node.cpu.run(
      () => costs.dataFrame(batchBytes) + (this.#taken.has(name) ? 0 : costs.checkBatch(batchBytes)),
      () => this.#store(batch, () => {}),
    );
  }

  #store(batch: SealedBatch, whenDurable: () => void): void {
    const node = this.#node;
    const name = hexOf(batch.ref.digest);
    if (this.#taken.has(name)) return;
    this.#taken.add(name);
    const { author } = batch.ref;
    node.push((turn) => {
      turn.batchBytes += node.world.batchBytes;
      turn.effects.push(() => {
        whenDurable();
        this.#acknowledgeSoon(author);
        node.checkBodies();
      });
      this.#batches.add(batch);
      this.#batches.setDurable(batch);
      node.step(turn, { type: 'batchStored', batch });
      const acknowledgements = this.#acknowledgementsOf([author]);
      node.step(turn, { type: 'acknowledged', from: node.index, acknowledgements });
    });
  }

  isDurable({ digest }: BatchRef): boolean {
    return this.#batches.isDurable(digest);
  }

  /** R3: the first one at once, the next some time later, together. */
  #acknowledgeSoon(author: ValidatorIndex): void {
    this.#moved.add(author);
    if (!this.#isAcknowledging) this.#acknowledge();
  }

  #acknowledge(): void {
    const node = this.#node;
    this.#isAcknowledging = this.#moved.size > 0;
    if (!this.#isAcknowledging) return;
    const acknowledgements = this.#acknowledgementsOf([...this.#moved]);
    this.#moved.clear();
    const { length } = encodeValidatorMessage({ type: 'acknowledgements', epoch: 0, acknowledgements });
    const input = { type: 'acknowledged', from: node.index, acknowledgements } as const;
    node.sendFrames(node.peers, length, 0, (peer) => peer.receive(0, input));
    const again = () => node.push((turn) => turn.effects.push(() => this.#acknowledge()));
    node.world.at(node.world.nowMs + ACKNOWLEDGE_INTERVAL_MS, again);
  }

  #acknowledgementsOf(authors: readonly ValidatorIndex[]): Acknowledgement[] {
    return authors.flatMap((author) => this.#batches.acknowledgement(author) ?? []);
  }

  // ---------------------------------------------------------------- asking

  fetchBatches(refs: readonly BatchRef[], holders: readonly ValidatorIndex[]): void {
    for (const { digest } of refs) {
      this.#ask(holders, (peer) => {
        const batch = peer.exchange.#batches.get(digest);
        if (batch) peer.exchange.#send(batch as SealedBatch, this.#node);
      });
    }
  }

  fetchBlock(hash: Uint8Array, holders: readonly ValidatorIndex[]): void {
    this.#ask(holders, (peer) => {
      const block = peer.core.block(toHex(hash));
      if (block) this.#answer(peer, [block], { type: 'blockFetched', from: peer.index, block });
    });
  }

  fetchRange(fromHeight: Height, holders: readonly ValidatorIndex[]): void {
    this.#ask(holders, (peer) => {
      const range = peer.final.range(fromHeight, peer.final.height);
      if (range) this.#answer(peer, range.blocks, { type: 'rangeFetched', from: peer.index, ...range });
    });
  }

  #answer(peer: RegionNode, blocks: readonly Block[], input: Parameters<RegionNode['receive']>[1]): void {
    const { costs } = peer.world;
    const sum = (of: (block: Block) => number) => blocks.reduce((total, block) => total + of(block), 0);
    const bytes = sum((block) => Block.serialize(block).length);
    const encodeUs = sum(({ refs }) => costs.encodeBlock(refs.length));
    const decodeUs = sum(({ refs }) => costs.decodeBlock(refs.length));
    peer.sendFrames([this.#node], bytes, encodeUs, (asker) => asker.receive(decodeUs, input));
  }

  /** One after another of those who should have it; the core asks again. */
  #ask(holders: readonly ValidatorIndex[], answer: (peer: RegionNode) => void): void {
    const { peers, world } = this.#node;
    const named = peers.filter(({ index }) => holders.includes(index));
    const asked = named.length > 0 ? named : peers;
    const peer = asked[this.#asked++ % asked.length]!;
    world.fetches++;
    const job = () => world.costs.frame;
    this.#node.sendFrames([peer], REQUEST_BYTES, 0, () => peer.cpu.run(job, () => answer(peer)));
  }
}
