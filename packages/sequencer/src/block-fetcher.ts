/**
 * Blocks that the core asked for, by hash or by range, and the ends of epochs, from validators that are connected, and what
 * was final before from others too (R21, R22). Answers go to the core.
 */

import type { Input } from '@squad/consensus';
import type { Network, PeerId } from '@squad/network';
import type { Logger } from '@squad/service';
import {
  BatchRefs,
  type BlockHash,
  BlockRequest,
  BlockResponse,
  type Bytes32,
  blockHash,
  decode,
  decodeHandOverProof,
  decodeRangeResponse,
  type Epoch,
  equalBytes,
  HandOverRequest,
  type Height,
  RangeRequest,
  toHex,
  type ValidatorIndex,
} from '@squad/types';
import { AskOrder } from './ask-order.ts';
import { shuffled } from './shuffled.ts';

/** Blocks that are being asked for by hash at once; what is beyond the core asks for again. */
export const MAX_BLOCKS_IN_FETCH = 16;
/** Peers outside of the set that are asked for one thing before the core has to ask again: each may cost a time-out. */
export const MAX_OTHER_PEERS_ASKED = 16;

/** What was said to a request for a range. */
export interface RangeAnswers {
  /** Blocks that were handed to the core, and which validator had them; it may still find them wrong. */
  readonly blocks: number;
  readonly from: ValidatorIndex | undefined;
  /** Those who have none from that height on. */
  readonly without: ValidatorIndex[];
}

export interface BlockFetcherConfig {
  /** How many there are in the set. */
  readonly validators: number;
  readonly network: () => Pick<Network, 'request' | 'connectedValidators' | 'otherPeers'>;
  readonly submit: (input: Input) => void;
  readonly blame: (peer: ValidatorIndex | PeerId, reason: string) => void;
  readonly logger: Logger;
}

export class BlockFetcher {
  readonly #config: BlockFetcherConfig;
  /** The core asks again and again for as long as a block is missing. */
  readonly #blocksInFetch = new Set<BlockHash>();
  #isFetchingRange = false;
  #isFetchingHandOver = false;
  readonly #order = new AskOrder();

  constructor(config: BlockFetcherConfig) {
    this.#config = config;
  }

  /** Blocks that are being asked for by hash. */
  get size(): number {
    return this.#blocksInFetch.size;
  }

  async fetchBlock(hash: Bytes32, holders: readonly ValidatorIndex[]): Promise<void> {
    const hex = toHex(hash);
    if (this.#blocksInFetch.has(hex) || this.#blocksInFetch.size >= MAX_BLOCKS_IN_FETCH) return;
    this.#blocksInFetch.add(hex);
    const { network } = this.#config;
    const found = await this.#ask(this.#validators(holders), async (peer) => {
      const answer = await network().request(peer, 'block', BlockRequest.serialize({ hash }));
      const blocks = decode(BlockResponse, 'BlockResponse', answer);
      if (!blocks.ok) return this.#lied(peer, `answered a request for a block with ${blocks.error.reason}`);
      const [block] = blocks.value;
      if (!block) return undefined;
      const isIt =
        equalBytes(blockHash(block.header), hash) &&
        equalBytes(BatchRefs.hashTreeRoot(block.refs), block.header.refsRoot);
      return isIt
        ? ({ type: 'blockFetched', from: peer, block } as const)
        : this.#lied(peer, 'answered a request for a block with another one');
    });
    this.#blocksInFetch.delete(hex);
    if (found) this.#config.submit(found);
  }

  /**
   * One at a time: the core asks again for as long as it needs more. Tells what the peers that were asked said. `whom`: those
   * outside of the set only if there is to be such a range, not to find out whether there is.
   */
  async fetchRange(
    fromHeight: Height,
    holders: readonly ValidatorIndex[],
    whom: 'everyone' | 'validators' = 'everyone',
  ): Promise<RangeAnswers> {
    const answers: RangeAnswers = { blocks: 0, from: undefined, without: [] };
    if (this.#isFetchingRange) return answers;
    this.#isFetchingRange = true;
    const { network } = this.#config;
    const peers = whom === 'everyone' ? this.#everyone(holders) : this.#validators(holders);
    const found = await this.#ask(peers, async (peer) => {
      const from = placeOf(peer);
      const answer = await network().request(peer, 'range', RangeRequest.serialize({ fromHeight }));
      const range = decodeRangeResponse(answer);
      if (!range.ok) return this.#lied(peer, `answered a request for a range with ${range.error.reason}`);
      const { blocks, certificates } = range.value;
      const [certificate] = certificates;
      if (!blocks[0] || !certificate) {
        if (from !== undefined) answers.without.push(from);
        return undefined;
      }
      return blocks[0].header.height === fromHeight
        ? ({ type: 'rangeFetched', from, blocks, certificate } as const)
        : this.#lied(peer, `answered a request for blocks from ${fromHeight} on with others`);
    });
    this.#isFetchingRange = false;
    // The rest, parents and certificate, the core checks; it may ask for more at once.
    if (found) this.#config.submit(found);
    if (found?.type !== 'rangeFetched') return answers;
    return { ...answers, blocks: found.blocks.length, from: found.from };
  }

  /** The proof that an epoch is over: the core judges it. */
  async fetchHandOver(epoch: Epoch, holders: readonly ValidatorIndex[]): Promise<void> {
    if (this.#isFetchingHandOver) return;
    this.#isFetchingHandOver = true;
    const { network } = this.#config;
    const found = await this.#ask(this.#everyone(holders), async (peer) => {
      const answer = await network().request(peer, 'handOver', HandOverRequest.serialize({ epoch }));
      if (answer.length === 0) return undefined;
      const proof = decodeHandOverProof(answer);
      return proof.ok
        ? ({ type: 'handOverFetched', from: placeOf(peer), proof: proof.value } as const)
        : this.#lied(peer, `answered a request for the end of an epoch with ${proof.error.reason}`);
    });
    this.#isFetchingHandOver = false;
    if (found) this.#config.submit(found);
  }

  #lied(peer: ValidatorIndex | PeerId, reason: string): undefined {
    this.#config.blame(peer, reason);
    return undefined;
  }

  /**
   * Connected holders; then the other validators; at last those without a channel, who may keep none with a node that has no
   * place in their epoch, and yet answer.
   */
  #validators(holders: readonly ValidatorIndex[]): ValidatorIndex[] {
    const { network, validators } = this.#config;
    const connected = network().connectedValidators;
    const others = shuffled(Array.from({ length: validators }, (_, index) => index)).filter(
      (index) => !connected.includes(index),
    );
    // Not always the same one first: a holder that keeps silent costs a time-out.
    return [...this.#order.of(connected, shuffled(holders)), ...others];
  }

  /**
   * Behind them whoever is connected: of the set of an epoch that is over nobody may be left, and what became final then proves
   * itself, whoever shows it.
   */
  #everyone(holders: readonly ValidatorIndex[]): (ValidatorIndex | PeerId)[] {
    const others = this.#order.of(this.#config.network().otherPeers, []);
    return [...this.#validators(holders), ...others.slice(0, MAX_OTHER_PEERS_ASKED)];
  }

  /** Asks one after another until one has it. */
  async #ask<P extends ValidatorIndex | PeerId>(
    peers: readonly P[],
    ask: (peer: P) => Promise<Input | undefined>,
  ): Promise<Input | undefined> {
    for (const peer of peers) {
      try {
        const found = await this.#order.ask(peer, () => ask(peer));
        if (found) return found;
      } catch (error) {
        this.#config.logger.debug({ err: error, peer }, 'a request failed');
      }
    }
    return undefined;
  }
}

/** Undefined for who is not in the set. */
function placeOf(peer: ValidatorIndex | PeerId): ValidatorIndex | undefined {
  return typeof peer === 'number' ? peer : undefined;
}
