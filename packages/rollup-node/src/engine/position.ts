/** Where a client stands on the rollup's chain: the newest block that both have. */

import type { Hex } from '@squad/types';
import { hexOf } from '../hex.ts';
import type { ClientBlock, DerivedBlock, DerivedChain } from './api.ts';
import type { EngineClient } from './client.ts';
import type { BlockFeeder } from './feeder.ts';
import { wrongChainId, wrongGenesis } from './trouble.ts';

/** One block, as derived and as the client has it. */
export interface Place {
  readonly number: number;
  readonly derived: Hex;
  readonly client: Hex;
}

export interface Position {
  readonly common: Place;
  readonly latest: ClientBlock;
}

/** Throws SquadError `ENGINE_WRONG_GENESIS` or `ENGINE_WRONG_CHAIN`. */
export async function checkChain(
  client: EngineClient,
  feeder: Pick<BlockFeeder<never>, 'genesisHash'>,
  chainId: number,
): Promise<void> {
  const genesis = await client.block(0);
  if (genesis?.hash !== feeder.genesisHash) throw wrongGenesis(client.url, feeder.genesisHash, genesis?.hash);
  const found = await client.chainId();
  if (found !== chainId) throw wrongChainId(client.url, chainId, found);
}

/** By halving the range: a client that has block n of the rollup has all before it. `stepBack`: blocks to stay below that. */
export async function findPosition<Block extends DerivedBlock>(
  client: EngineClient,
  feeder: BlockFeeder<Block>,
  chain: DerivedChain<Block>,
  stepBack: number,
): Promise<Position> {
  const latest = await client.block('latest');
  if (latest === undefined) throw wrongGenesis(client.url, feeder.genesisHash, undefined);
  const at = async (number: number): Promise<Place | undefined> => {
    const block = chain.blockAt(number);
    const found = block && (await client.block(number));
    const isSame = found !== undefined && (number === 0 || feeder.matches(block!, found));
    return isSame ? { number, derived: hexOf(block!.summary.hash), client: found.hash } : undefined;
  };
  const newest = Math.min(latest.number, chain.headNumber);
  let common = await at(newest);
  let low = 0;
  let high = newest;
  while (common === undefined && high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await at(middle)) low = middle;
    else high = middle;
  }
  common ??= await at(low);
  if (common !== undefined && stepBack > 0) common = await at(Math.max(0, common.number - stepBack));
  if (common === undefined) throw wrongGenesis(client.url, feeder.genesisHash, undefined);
  return { common, latest };
}
