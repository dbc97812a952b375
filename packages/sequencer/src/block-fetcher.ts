/**
 * Blocks that the core asked for, by hash or by range, and the ends of epochs, from validators that are connected (R21, R22).
 * Answers go to the core.
 */

import type { Input } from '@squad/consensus';
import type { Network } from '@squad/network';
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

/** What was said to a request for a range. */
export interface RangeAnswers {
  /** Blocks that were handed to the core, and who had them; it may still find them wrong. */
  readonly blocks: number;
  readonly from: ValidatorIndex | undefined;
  /** Those who have none from that height on. */
  readonly without: ValidatorIndex[];
}

export interface BlockFetcherConfig {
  /** How many there are in the set. */
  readonly validators: number;
  readonly network: () => Pick<Network, 'request' | 'connectedValidators'>;
  readonly submit: (input: Input) => void;
  readonly blame: (peer: ValidatorIndex, reason: string) => void;
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

  async fetchBlock(hash: Bytes32, holders: readonly ValidatorIndex[]): Promise<void> {
    const hex = toHex(hash);
    if (this.#blocksInFetch.has(hex) || this.#blocksInFetch.size >= MAX_BLOCKS_IN_FETCH) return;
    this.#blocksInFetch.add(hex);
    const { network } = this.#config;
    // Not always the same one first: a holder that keeps silent costs a time-out.
    const found = await this.#ask(shuffled(holders), async (peer) => {
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

  /** One at a time: the core asks again for as long as it needs more. Tells what the peers that were asked said. */
  async fetchRange(fromHeight: Height, holders: readonly ValidatorIndex[]): Promise<RangeAnswers> {
    const answers: RangeAnswers = { blocks: 0, from: undefined, without: [] };
    if (this.#isFetchingRange) return answers;
    this.#isFetchingRange = true;
    const { network } = this.#config;
    const found = await this.#ask(shuffled(holders), async (peer) => {
      const answer = await network().request(peer, 'range', RangeRequest.serialize({ fromHeight }));
      const range = decodeRangeResponse(answer);
      if (!range.ok) return this.#lied(peer, `answered a request for a range with ${range.error.reason}`);
      const { blocks, certificates } = range.value;
      const [certificate] = certificates;
      if (!blocks[0] || !certificate) {
        answers.without.push(peer);
        return undefined;
      }
      return blocks[0].header.height === fromHeight
        ? ({ type: 'rangeFetched', from: peer, blocks, certificate } as const)
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
    const found = await this.#ask(shuffled(holders), async (peer) => {
      const answer = await network().request(peer, 'handOver', HandOverRequest.serialize({ epoch }));
      if (answer.length === 0) return undefined;
      const proof = decodeHandOverProof(answer);
      return proof.ok
        ? ({ type: 'handOverFetched', from: peer, proof: proof.value } as const)
        : this.#lied(peer, `answered a request for the end of an epoch with ${proof.error.reason}`);
    });
    this.#isFetchingHandOver = false;
    if (found) this.#config.submit(found);
  }

  #lied(peer: ValidatorIndex, reason: string): undefined {
    this.#config.blame(peer, reason);
    return undefined;
  }

  /**
   * Asks connected holders one after another until one has it; they failing, the other validators; at last those without a
   * channel, who may keep none with a node that has no place in their epoch, and yet answer.
   */
  async #ask(
    holders: readonly ValidatorIndex[],
    ask: (peer: ValidatorIndex) => Promise<Input | undefined>,
  ): Promise<Input | undefined> {
    const { network, validators } = this.#config;
    const connected = network().connectedValidators;
    const others = shuffled(Array.from({ length: validators }, (_, index) => index)).filter(
      (index) => !connected.includes(index),
    );
    for (const peer of [...this.#order.of(connected, holders), ...others]) {
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
