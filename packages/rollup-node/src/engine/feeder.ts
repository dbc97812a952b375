/** How one block gets into the client: given whole, or built there of forced transactions. */

import { RpcError } from '@squad/service';
import type { Hex } from '@squad/types';
import type { EvmBlock } from '../execution/evm/block.ts';
import { hexOf } from '../hex.ts';
import type { ClientBlock, DerivedBlock, StackAdapter } from './api.ts';
import type { EngineClient, ForkchoiceState, PayloadStatus } from './client.ts';
import { beginForced, type LeftOut } from './forced.ts';
import { MAX_BUILD_ATTEMPTS } from './limits.ts';
import { payloadOf } from './payload.ts';
import { builtOtherwise, ClientBehind, ENGINE_ERRORS, invalidBlock } from './trouble.ts';

export interface BlockFeeder<Block extends DerivedBlock> {
  /** Whether the client must be able to build. */
  readonly builds: boolean;
  readonly genesisHash: Hex;
  matches(block: Block, found: ClientBlock): boolean;
  /**
   * Gives the client the block upon the head of `state`, which it took before, and returns its hash there. Throws `ClientBehind`, or SquadError
   * `ENGINE_BLOCK_INVALID` or `ENGINE_BUILT_OTHERWISE`, or what the call throws.
   */
  feed(client: EngineClient, block: Block, state: () => Promise<ForkchoiceState>): Promise<Hex>;
}

/** For clients as they are: they execute the block that this node has executed, and must come to the same. */
export function payloadFeeder(genesisHash: Hex): BlockFeeder<EvmBlock> {
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

/** Called for each block that the client built without some of the transactions. */
export type OnLeftOut<Block> = (block: Block, leftOut: readonly LeftOut[]) => void;

/** For clients that build blocks of transactions that they are told: op-geth, op-reth. */
export function attributesFeeder<Block extends DerivedBlock>(
  stack: StackAdapter<Block>,
  onLeftOut?: OnLeftOut<Block>,
): BlockFeeder<Block> {
  return {
    builds: true,
    genesisHash: stack.genesisHash,
    matches: (block, found) => stack.matches(block, found),
    feed: async (client, block, state) => build(stack, client, block, await state(), onLeftOut),
  };
}

async function build<Block extends DerivedBlock>(
  stack: StackAdapter<Block>,
  client: EngineClient,
  block: Block,
  state: ForkchoiceState,
  onLeftOut: OnLeftOut<Block> | undefined,
): Promise<Hex> {
  const attributes = await stack.attributes(block);
  const begin = (transactions: readonly Hex[]) => client.forkchoiceUpdated(state, { ...attributes, transactions });
  const judging = stack.spending && {
    own: attributes.transactions.length - block.summary.transactionCount,
    spending: stack.spending,
    accounts: (addresses: readonly Hex[]) => client.accounts(addresses, state.headBlockHash),
  };
  for (let attempt = 1; ; attempt++) {
    const { answer, transactions, leftOut } =
      judging === undefined
        ? { answer: await begin(attributes.transactions), transactions: attributes.transactions, leftOut: [] }
        : await beginForced(begin, attributes.transactions, judging);
    const { payloadStatus, payloadId } = answer;
    requireTaken(client, block, payloadStatus, state.headBlockHash);
    if (!payloadId) throw new ClientBehind('the client took the head and does not build on it', true);
    try {
      const { executionPayload, executionRequests } = await client.getPayload(payloadId);
      const fault = difference(transactions, executionPayload.transactions) ?? stack.check(block, executionPayload);
      if (fault !== undefined) throw builtOtherwise(client.url, block.summary.number, fault);
      const { parentBeaconBlockRoot } = attributes;
      const built = { payload: executionPayload, parentBeaconBlockRoot, requests: executionRequests };
      requireTaken(client, block, await client.newPayload(built), executionPayload.blockHash);
      if (leftOut.length > 0) onLeftOut?.(block, leftOut);
      return executionPayload.blockHash;
    } catch (error) {
      const isForgotten = error instanceof RpcError && error.code === ENGINE_ERRORS.unknownPayload;
      if (!isForgotten || attempt === MAX_BUILD_ATTEMPTS) throw error;
    }
  }
}

function difference(asked: readonly Hex[], built: readonly Hex[]): string | undefined {
  if (built.length !== asked.length) return `it has ${built.length} transactions, ${asked.length} were to be in it`;
  const index = asked.findIndex((transaction, at) => transaction !== built[at]);
  return index < 0 ? undefined : `transaction ${index} is another one`;
}

/** ACCEPTED: valid as far as it was looked at, and executed when it becomes the head. */
export function requireTaken(client: EngineClient, block: DerivedBlock, status: PayloadStatus, hash: Hex): void {
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
