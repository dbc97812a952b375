/**
 * A rollup that follows the network: a feed from one sequencer or another, the client's verifier, and a derivation so small
 * that it fits here. Its state root after a block is the hash of the root before and of every transaction in it.
 */

import { createVerifier, type ProvenBatch, type Verifier } from '@squad/client';
import { verifyHandOver } from '@squad/crypto';
import { sha256 } from '@squad/crypto/node';
import type { FeedStream } from '@squad/network';
import {
  bodyTransactions,
  concatBytes,
  decodeFeedMessage,
  decodeHandOverProof,
  encodeFeedMessage,
  type FeedBlock,
  FeedStage,
  lastHeightOf,
  toHex,
  type ValidatorSet,
} from '@squad/types';
import { GENESIS_TIME_MS, ROLLUP } from './genesis.ts';
import type { NodeWorld } from './world.ts';

const RETRY_MS = 200;
/** How long a feed may say nothing new before another one is tried. */
const PATIENCE_MS = 3_000;
const MAX_HELD_SOFT_BLOCKS = 64;
const MAX_BLOCKS_AHEAD = 64;

export class Follower {
  readonly name: string;
  height = 0;
  root: Uint8Array = new Uint8Array(32);
  /** Transactions in the order of the sequence. */
  readonly transactions: string[] = [];
  readonly #world: NodeWorld;
  /** Of the epoch that is followed. */
  #verifier: Verifier;
  #validatorSet: ValidatorSet;
  readonly #held = new Map<string, readonly ProvenBatch[]>();
  /** Final blocks that came before the ones below them. */
  readonly #ahead = new Map<number, FeedBlock>();
  #hash: Uint8Array;
  #unfinished: { readonly block: FeedBlock; readonly batches: Uint8Array[] } | undefined;

  constructor(world: NodeWorld, name: string) {
    this.#world = world;
    this.name = name;
    this.#validatorSet = world.genesis.validatorSet;
    this.#verifier = this.#createVerifier();
    this.#hash = this.#verifier.genesis.hash;
  }

  #createVerifier(): Verifier {
    const { genesis, registry } = this.#world;
    return createVerifier({
      networkId: genesis.networkId,
      validatorSet: this.#validatorSet,
      genesisTimeMs: GENESIS_TIME_MS,
      epochLengthBlocks: genesis.file.epochLengthBlocks,
      rollupId: ROLLUP,
      scheme: registry.schemeFor(undefined),
      sha256,
    });
  }

  get #lastHeight(): number {
    return lastHeightOf(this.#validatorSet.epoch, this.#world.genesis.file.epochLengthBlocks);
  }

  /** R22: from one set to the next by the proof of the end of the epoch, which one of the sequencers has. */
  async #nextEpoch(): Promise<void> {
    const { genesis, registry } = this.#world;
    for (;;) {
      const encoded = await this.#world.handOverOf(this, this.#validatorSet.epoch);
      const proof = encoded && decodeHandOverProof(encoded);
      if (proof?.ok) {
        const context = {
          networkId: genesis.networkId,
          validatorSet: this.#validatorSet,
          lastHeight: this.#lastHeight,
          scheme: registry.schemeFor(undefined),
        };
        const next = verifyHandOver(proof.value, context);
        if (!next.ok) {
          this.#world.fail('hand-over', `${this.name}: ${next.error.reason}`);
          throw next.error;
        }
        this.#validatorSet = next.value;
        this.#verifier = this.#createVerifier();
        return this.#takeAhead();
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** Follows for as long as the world runs. */
  async run(): Promise<never> {
    for (;;) {
      const stream = this.#world.openFeed(this);
      if (stream) await this.#read(stream);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async #read(stream: FeedStream): Promise<void> {
    this.#unfinished = undefined;
    let before = this.height;
    const patience = setInterval(() => {
      if (this.height === before) stream.close();
      before = this.height;
    }, PATIENCE_MS);
    try {
      await stream.send(encodeFeedMessage({ type: 'subscribe', rollupId: ROLLUP, fromHeight: this.height + 1 }));
      for await (const frame of stream.frames()) {
        const message = decodeFeedMessage(frame);
        if (!message.ok) return this.#world.fail('feed', `${this.name} got a frame of the feed that does not decode`);
        if (message.value.type === 'error') return;
        if (message.value.type === 'block')
          this.#unfinished = { block: message.value.block, batches: [...message.value.block.batches] };
        else if (message.value.type === 'batch') this.#unfinished?.batches.push(message.value.batch);
        const took = this.#take();
        while (this.height === this.#lastHeight) await this.#nextEpoch();
        if (took) await stream.send(encodeFeedMessage({ type: 'acknowledge', height: this.height }));
      }
    } catch {
      // The feed is closed: the next one.
    } finally {
      clearInterval(patience);
      stream.close();
    }
  }

  /** Takes the block that is under way if it is whole, and those that waited for it; true if there is a new final one. */
  #take(): boolean {
    if (!this.#unfinished) return false;
    const { block, batches } = this.#unfinished;
    const wanted =
      block.bodiesOmitted === 1 ? 0 : block.block.refs.filter(({ rollupId }) => rollupId === ROLLUP).length;
    if (batches.length < wanted) return false;
    this.#unfinished = undefined;
    const whole = { ...block, batches };
    const { height } = block.block.header;
    // A leader posts its own blocks at once, and others' only after a while: they come out of order.
    const isLater = block.block.header.epoch > this.#validatorSet.epoch;
    if (isLater && block.stage !== FeedStage.final) return false;
    if (block.stage === FeedStage.final && (isLater || height > this.height + 1)) {
      if (this.#ahead.size < MAX_BLOCKS_AHEAD) this.#ahead.set(height, whole);
      return false;
    }
    if (!this.#takeWhole(whole)) return false;
    this.#takeAhead();
    return true;
  }

  /** Within the epoch. */
  #takeAhead(): void {
    while (this.height < this.#lastHeight) {
      const next = this.#ahead.get(this.height + 1);
      this.#ahead.delete(this.height + 1);
      if (!next || !this.#takeWhole(next)) return;
    }
  }

  #takeWhole(feedBlock: FeedBlock): boolean {
    const known = { height: this.height, hash: this.#hash };
    const proven = this.#verifier.verifyFeedBlock(feedBlock, known, (hash) => this.#held.get(toHex(hash)));
    if (!proven.ok) {
      // Another feed may have been quicker; anything else no honest sequencer sends.
      if (proven.error.code !== 'STALE' && proven.error.code !== 'BODIES_NOT_HELD') {
        this.#world.fail('feed', `${this.name}: ${proven.error.code}: ${proven.error.message}`);
      }
      return false;
    }
    if (proven.value.stage === 'soft') {
      this.#held.set(toHex(proven.value.hash), proven.value.batches);
      if (this.#held.size > MAX_HELD_SOFT_BLOCKS) this.#held.delete(this.#held.keys().next().value!);
      return false;
    }
    this.height++;
    this.#hash = proven.value.hash;
    for (const { body } of proven.value.batches) {
      for (const transaction of bodyTransactions(body)) {
        this.root = sha256(concatBytes(this.root, transaction));
        this.transactions.push(toHex(transaction));
      }
    }
    this.#world.onDerived(this);
    return true;
  }
}
