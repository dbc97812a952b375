/** The JSON-RPC methods of a rollup that is executed elsewhere: those nodes forward transactions here. State is theirs to tell. */

import { defineMethod, hexBytes, type RpcMethod, toQuantity } from '@squad/service';
import { MAX_TRANSACTION_BYTES } from '@squad/types';
import type { SkippedTransactions } from '../derivation/skipped.ts';
import type { OrderedExecutor } from '../execution/ordered.ts';
import { refused } from './errors.ts';
import { skippedMethod } from './ledger-methods.ts';
import type { RollupRpcPorts } from './ports.ts';

export function orderedMethods(
  rollup: { readonly executor: OrderedExecutor; readonly skipped: SkippedTransactions },
  ports: RollupRpcPorts,
): RpcMethod[] {
  const { executor, skipped } = rollup;
  return [
    defineMethod({
      name: 'eth_chainId',
      summary: 'The EIP-155 chain id, which is the rollup id',
      params: {},
      result: { name: 'chainId', description: 'A quantity' },
      handler: () => toQuantity(executor.file.rollupId),
    }),
    defineMethod({
      name: 'eth_sendRawTransaction',
      summary: 'Sends a signed transaction to a sequencer',
      params: { transaction: hexBytes({ minBytes: 1, maxBytes: MAX_TRANSACTION_BYTES }) },
      result: { name: 'transactionHash', description: '32 bytes' },
      handler: ({ transaction }) => {
        const refusal = executor.refusal(transaction);
        if (refusal === undefined) return ports.submit(transaction);
        throw refused(
          refusal.reason,
          refusal.code,
          `Sign a transaction of type 0, 1, 2 or 4 for chain ${executor.file.rollupId}, within the gas limit.`,
        );
      },
    }),
    skippedMethod(skipped),
  ];
}
