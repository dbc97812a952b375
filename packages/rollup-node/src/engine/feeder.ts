/** How one block gets into the client: given whole, or built there of forced transactions. */

import { RpcError } from '@squad/service';
import type { Hex } from '@squad/types';
import type { EvmBlock } from '../execution/evm/block.ts';
import { hexOf } from '../hex.ts';
import type { ClientBlock, PayloadAttributes, StackAdapter } from './api.ts';
import type { EngineClient, ForkchoiceState, PayloadStatus } from './client.ts';
import { MAX_BUILD_ATTEMPTS } from './limits.ts';
import { payloadOf } from './payload.ts';
import { builtOtherwise, ClientBehind, ENGINE_ERRORS, invalidBlock } from './trouble.ts';

export interface BlockFeeder {
  /** Whether the client must be able to build. */
  readonly builds: boolean;
  readonly genesisHash: Hex;
  matches(block: EvmBlock, found: ClientBlock): boolean;
  /**
   * Gives the client the block upon the head of `state`, which it took before, and returns its hash there. Throws `ClientBehind`, or SquadError
   * `ENGINE_BLOCK_INVALID` or `ENGINE_BUILT_OTHERWISE`, or what the call throws.
   */
  feed(client: EngineClient, block: EvmBlock, state: () => Promise<ForkchoiceState>): Promise<Hex>;
}

/** For clients as they are: they execute the block that this node has executed, and must come to the same. */
export function payloadFeeder(genesisHash: Hex): BlockFeeder {
  return {
    builds: false,
    genesisHash,
    matches: (block, found) => hexOf(block.summary.hash) === found.hash,
    feed: async (client, block) => {
      const given = payloadOf(block);
      requireTaken(client, block, await client.newPayload(given), given.payload.blockHash);
      return given.payload.blockHash;
    },
  };
}

/** For clients that build blocks of transactions that they are told: op-geth, op-reth. */
export function attributesFeeder(stack: StackAdapter): BlockFeeder {
  return {
    builds: true,
    genesisHash: stack.genesisHash,
    matches: (block, found) => stack.matches(block, found),
    feed: async (client, block, state) => build(stack, client, block, await state()),
  };
}

async function build(stack: StackAdapter, client: EngineClient, block: EvmBlock, state: ForkchoiceState): Promise<Hex> {
  const attributes = await stack.attributes(block);
  for (let attempt = 1; ; attempt++) {
    const { payloadStatus, payloadId } = await client.forkchoiceUpdated(state, attributes);
    requireTaken(client, block, payloadStatus, state.headBlockHash);
    if (!payloadId) throw new ClientBehind('the client took the head and does not build on it', true);
    try {
      const { executionPayload, executionRequests } = await client.getPayload(payloadId);
      const fault = difference(attributes, executionPayload.transactions) ?? stack.check(block, executionPayload);
      if (fault !== undefined) throw builtOtherwise(client.url, block.summary.number, fault);
      const { parentBeaconBlockRoot } = attributes;
      const built = { payload: executionPayload, parentBeaconBlockRoot, requests: executionRequests };
      requireTaken(client, block, await client.newPayload(built), executionPayload.blockHash);
      return executionPayload.blockHash;
    } catch (error) {
      const isForgotten = error instanceof RpcError && error.code === ENGINE_ERRORS.unknownPayload;
      if (!isForgotten || attempt === MAX_BUILD_ATTEMPTS) throw error;
    }
  }
}

function difference({ transactions }: PayloadAttributes, built: readonly Hex[]): string | undefined {
  if (built.length !== transactions.length) {
    return `it has ${built.length} transactions, ${transactions.length} were to be in it`;
  }
  const index = transactions.findIndex((transaction, at) => transaction !== built[at]);
  return index < 0 ? undefined : `transaction ${index} is another one`;
}

/** ACCEPTED: valid as far as it was looked at, and executed when it becomes the head. */
export function requireTaken(client: EngineClient, block: EvmBlock, status: PayloadStatus, hash: Hex): void {
  const { number } = block.summary;
  switch (status.status) {
    case 'VALID':
      if (status.latestValidHash === hash) return;
      throw invalidBlock(client.url, block, {
        ...status,
        validationError: `it answers VALID and names ${status.latestValidHash ?? 'no block'} as the newest valid one, not ${hash}`,
      });
    case 'ACCEPTED':
      return;
    case 'SYNCING':
      throw new ClientBehind(`the client answers SYNCING at block ${number}`, false);
    default:
      throw invalidBlock(client.url, block, status);
  }
}
