/** The L1 that a new testnet follows: as an endpoint shows it when the testnet is made. */

import { rpcCall } from '@squad/service';
import type { GenesisL1 } from '@squad/types';
import { z } from 'zod';

/** An L1 for development is not reorganised, and makes few blocks. */
export const TESTNET_L1_CONFIRMATIONS = 2;

const Quantity = z
  .string()
  .regex(/^0x[0-9a-f]{1,13}$/)
  .transform(Number);

/** Its chain, and the highest block that is confirmed. Throws what `rpcCall` throws. */
export async function readGenesisL1(url: string): Promise<GenesisL1> {
  const chainId = await rpcCall(url, 'eth_chainId', [], Quantity);
  const head = await rpcCall(url, 'eth_blockNumber', [], Quantity);
  const number = Math.max(0, head - TESTNET_L1_CONFIRMATIONS);
  const params = [`0x${number.toString(16)}`, false];
  const { hash } = await rpcCall(url, 'eth_getBlockByNumber', params, z.object({ hash: z.string() }));
  return { chainId, anchor: { number, hash }, confirmations: TESTNET_L1_CONFIRMATIONS };
}
