/** The JSON-RPC methods of a rollup with rules of its team's own: what all have, and those that the team's module brings. */

import { defineMethod, hexBytes, RpcError, type RpcMethod, toQuantity } from '@squad/service';
import { MAX_TRANSACTION_BYTES, SquadError } from '@squad/types';
import { z } from 'zod';
import type { SkippedTransactions } from '../derivation/skipped.ts';
import type { Executor } from '../execution/api.ts';
import type { CustomRollup } from '../execution/custom.ts';
import { refused } from './errors.ts';
import { formatSummary, skippedMethod } from './ledger-methods.ts';
import type { RollupRpcPorts } from './ports.ts';

/** Parameters of one call of a team's own method. */
export const MAX_CUSTOM_PARAMETERS = 8;
/** Like eth_getBalance; the node's own prefixes are taken. */
const METHOD_NAME = /^(?!squad_|rollup_|rpc_|eth_)[a-z][a-zA-Z0-9]{0,31}_[a-zA-Z0-9]{1,63}$/;

/** Throws SquadError `EXECUTOR_UNFIT` if the module's methods are none, or have names that are taken. */
export function customMethods(
  rollup: { readonly executor: Executor; readonly skipped: SkippedTransactions },
  custom: CustomRollup,
  ports: RollupRpcPorts,
): RpcMethod[] {
  const { executor, skipped } = rollup;
  const own = Object.entries(custom.rpcMethods?.(executor as never) ?? {});
  return [
    ...commonMethods(executor, ports),
    skippedMethod(skipped),
    ...own.map(([name, call]) => ownMethod(name, call)),
  ];
}

function commonMethods(executor: Executor, ports: RollupRpcPorts): RpcMethod[] {
  return [
    defineMethod({
      name: 'rollup_blockNumber',
      summary: 'Number of the newest block whose order is final',
      params: {},
      result: { name: 'number', description: 'A quantity' },
      handler: () => toQuantity(executor.latest.number),
    }),
    defineMethod({
      name: 'rollup_getHead',
      summary: 'The newest block: latest, of final order; or pending, sealed in soft order',
      params: { stage: z.enum(['latest', 'pending']).default('latest') },
      result: { name: 'block', description: 'Number, hashes, state root, time' },
      handler: ({ stage }) => formatSummary(stage === 'latest' ? executor.latest : executor.head),
    }),
    defineMethod({
      name: 'rollup_sendTransaction',
      summary: 'Sends a transaction to a sequencer',
      params: { transaction: hexBytes({ minBytes: 1, maxBytes: MAX_TRANSACTION_BYTES }) },
      result: { name: 'hash', description: '32 bytes' },
      handler: ({ transaction }) => ports.submit(transaction),
    }),
  ];
}

function ownMethod(name: string, call: unknown): RpcMethod {
  const remedy = 'Change rpcMethods of the module that --executor names.';
  if (!METHOD_NAME.test(name)) {
    const message = `"${name}" cannot be the name of a rollup's own JSON-RPC method: it takes a prefix such as book_, not the node's`;
    throw new SquadError('EXECUTOR_UNFIT', message, remedy);
  }
  if (typeof call !== 'function') throw new SquadError('EXECUTOR_UNFIT', `the method ${name} is no function`, remedy);
  const parameters = Array.from({ length: MAX_CUSTOM_PARAMETERS }, (_, index) => [`p${index}`, z.unknown()] as const);
  return defineMethod({
    name,
    summary: "A method of the rollup's own",
    params: Object.fromEntries(parameters),
    result: { name: 'result', description: 'As the rollup says' },
    handler: async (given) => {
      try {
        return (await call(...Object.values(given))) ?? null;
      } catch (error) {
        if (error instanceof RpcError || error instanceof SquadError) throw error;
        const message = error instanceof Error ? error.message : String(error);
        throw refused(message, 'REFUSED', 'Change the call as the message says.');
      }
    },
  });
}
