/** Blocks that the core asked for, by hash or by range, from validators that are connected (R21). Answers go to the core. */

import type { Input } from '@squad/consensus';
import type { Network } from '@squad/network';
import type { Logger } from '@squad/service';
import {
  BlockRequest,
  BlockResponse,
  type Bytes32,
  decode,
  decodeRangeResponse,
  type Height,
  RangeRequest,
  type ValidatorIndex,
} from '@squad/types';

export interface BlockFetcherConfig {
  readonly network: () => Pick<Network, 'request' | 'connectedValidators'>;
  readonly submit: (input: Input) => void;
  readonly blame: (peer: ValidatorIndex, reason: string) => void;
  readonly logger: Logger;
}

export class BlockFetcher {
  readonly #config: BlockFetcherConfig;
  #isFetchingRange = false;

  constructor(config: BlockFetcherConfig) {
    this.#config = config;
  }

  async fetchBlock(hash: Bytes32, holders: readonly ValidatorIndex[]): Promise<void> {
    const { network, submit, blame } = this.#config;
    await this.#ask(holders, async (peer) => {
      const answer = await network().request(peer, 'block', BlockRequest.serialize({ hash }));
      const blocks = decode(BlockResponse, 'BlockResponse', answer);
      if (!blocks.ok) {
        blame(peer, `answered a request for a block with ${blocks.error.reason}`);
        return false;
      }
      const [block] = blocks.value;
      if (block) submit({ type: 'blockFetched', from: peer, block });
      return block !== undefined;
    });
  }

  /** One at a time: the core asks again for as long as it needs more. */
  async fetchRange(fromHeight: Height, holders: readonly ValidatorIndex[]): Promise<void> {
    if (this.#isFetchingRange) return;
    this.#isFetchingRange = true;
    const { network, submit, blame } = this.#config;
    await this.#ask(shuffled(holders), async (peer) => {
      const answer = await network().request(peer, 'range', RangeRequest.serialize({ fromHeight }));
      const range = decodeRangeResponse(answer);
      if (!range.ok) {
        blame(peer, `answered a request for a range with ${range.error.reason}`);
        return false;
      }
      const { blocks, certificates } = range.value;
      const [certificate] = certificates;
      if (blocks.length === 0 || !certificate) return false;
      submit({ type: 'rangeFetched', from: peer, blocks, certificate });
      return true;
    });
    this.#isFetchingRange = false;
  }

  /** Asks connected holders one after another until one has it; they failing, the other validators. */
  async #ask(holders: readonly ValidatorIndex[], ask: (peer: ValidatorIndex) => Promise<boolean>): Promise<void> {
    const connected = this.#config.network().connectedValidators;
    const peers = [...new Set([...holders.filter((peer) => connected.includes(peer)), ...connected])];
    for (const peer of peers) {
      try {
        if (await ask(peer)) return;
      } catch (error) {
        this.#config.logger.debug({ err: error, peer }, 'a request failed');
      }
    }
  }
}

/** In another order each time, so that not all who catch up ask the same peer. */
function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ value }) => value);
}
