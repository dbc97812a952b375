/** The stack without anything of its own: the client executes by the rollup's rules, and builds the very same blocks. */

import { toQuantity } from '@squad/service';
import type { Hex } from '@squad/types';
import type { EvmBlock } from '../execution/evm/block.ts';
import { hexOf } from '../hex.ts';
import type { ExecutionPayload, StackAdapter } from './api.ts';
import { payloadOf } from './payload.ts';

/** `genesisHash`: of the rollup. */
export function plainStack(genesisHash: Hex): StackAdapter<EvmBlock> {
  return {
    genesisHash,
    attributes: ({ header, transactions }) => ({
      timestamp: toQuantity(header.timestamp) as Hex,
      prevRandao: hexOf(header.mixHash),
      suggestedFeeRecipient: hexOf(header.coinbase.bytes),
      withdrawals: [],
      parentBeaconBlockRoot: hexOf(header.parentBeaconBlockRoot ?? new Uint8Array(32)),
      transactions: transactions.map(({ raw }) => hexOf(raw)),
      noTxPool: true,
      gasLimit: toQuantity(header.gasLimit) as Hex,
    }),
    matches: (block, found) => hexOf(block.summary.hash) === found.hash,
    check: (block, built) => {
      const { payload } = payloadOf(block);
      if (payload.blockHash === built.blockHash) return undefined;
      const fields = (Object.keys(payload) as (keyof ExecutionPayload)[]).filter(
        (field) => JSON.stringify(payload[field]) !== JSON.stringify(built[field]),
      );
      return fields
        .map((field) => `its ${field} is ${short(built[field])}, derived is ${short(payload[field])}`)
        .join('; ');
    },
  };
}

function short(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
