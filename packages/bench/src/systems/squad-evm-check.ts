/**
 * After a run with transfers: the nonces of the senders in the rollup node's final state are the numbers of transfers that
 * were accepted, so each was executed exactly once; and all sequencers have the same final blocks.
 */

import { rpcCall } from '@squad/service';
import { type Testnet, waitFor } from '@squad/testnet';
import { toHex } from '@squad/types';
import { z } from 'zod';
import { DEVELOPMENT_KEYS } from '../load/accounts.ts';
import type { LoadResult } from '../load/protocol.ts';
import { addressOf } from '../load/transfer.ts';
import { commonChain } from './chain-check.ts';
import type { Verification } from './system.ts';

const WAIT_MS = 30_000;

export async function verifyTransfers(testnet: Testnet, loads: readonly LoadResult[]): Promise<Verification> {
  const accepted = loads.reduce((sum, load) => sum + load.accepted, 0);
  const { rpcUrl } = testnet.rollupNodes[0]!;
  let executed = 0;
  await waitFor(
    'every accepted transfer is in the final state',
    async () => {
      executed = await executedTransfers(rpcUrl);
      return executed >= accepted;
    },
    WAIT_MS,
    200,
  ).catch(() => {});
  const chain = await commonChain(testnet.nodes);
  return {
    checked: `nonces in the final state against ${accepted} accepted; block hashes 1 to ${chain.height} equal on ${testnet.nodes.length} nodes`,
    lost: Math.max(0, accepted - executed),
    duplicated: loads.reduce((sum, load) => sum + load.finalTwice, 0) + chain.repeatedBatches,
    blocks: chain.height,
    blocksSeconds: chain.seconds,
  };
}

/** Of the development accounts, by their nonces in `latest`. */
export async function executedTransfers(rpcUrl: string): Promise<number> {
  let sum = 0;
  for (const key of DEVELOPMENT_KEYS) {
    const address = toHex(addressOf(Buffer.from(key.slice(2), 'hex')));
    sum += Number(await rpcCall(rpcUrl, 'eth_getTransactionCount', [address, 'latest'], z.string()));
  }
  return sum;
}
