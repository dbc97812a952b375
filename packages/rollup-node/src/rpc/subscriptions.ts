/** eth_subscribe: newHeads, logs, newPendingTransactions. Heads and logs are of blocks whose order is final. */

import { defineSubscription, type RpcSubscription } from '@squad/service';
import { z } from 'zod';
import { logsOf } from '../execution/evm/history.ts';
import { LogMatcher } from '../execution/evm/log-matcher.ts';
import { hexOf } from '../hex.ts';
import type { RpcState } from './context.ts';
import { formatHeader, formatLog, formatTransaction } from './format.ts';
import { SubscribedLogs } from './schemas.ts';

export function ethSubscriptions(state: RpcState): RpcSubscription[] {
  return [
    defineSubscription({
      namespace: 'eth',
      name: 'newHeads',
      summary: 'Headers of blocks as they become final in order',
      params: {},
      result: { name: 'header', description: 'A block without its transactions' },
      subscribe: (_params, subscriber) =>
        state.events.on('latest', (number) => {
          const block = state.history.blockAt(number);
          if (block !== undefined) subscriber.emit(formatHeader(block));
        }),
    }),
    defineSubscription({
      namespace: 'eth',
      name: 'logs',
      summary: 'Logs of blocks as they become final in order',
      params: { filter: SubscribedLogs },
      result: { name: 'log', description: 'One log' },
      subscribe: ({ filter }, subscriber) => {
        const release = state.heldAlternatives.hold(filter);
        const matcher = new LogMatcher(filter);
        const stop = state.events.on('latest', (number) => {
          const block = state.history.blockAt(number);
          if (block === undefined || !matcher.mayMatch(block.header.logsBloom)) return;
          for (const found of logsOf(block)) if (matcher.matches(found.log)) subscriber.emit(formatLog(found));
        });
        return () => {
          stop();
          release();
        };
      },
    }),
    defineSubscription({
      namespace: 'eth',
      name: 'newPendingTransactions',
      summary: 'Transactions as they are executed in soft order; their hashes, or whole if `full`',
      params: { full: z.boolean().default(false) },
      result: { name: 'transaction', description: 'A hash, or a transaction' },
      subscribe: ({ full }, subscriber) =>
        state.events.on('transaction', (hash) => {
          const found = full ? state.history.transaction(hash) : undefined;
          subscriber.emit(found === undefined ? hexOf(hash) : formatTransaction(found));
        }),
    }),
  ];
}
