/**
 * txpool_…, as geth has them: what was sent through this node and is not executed. `pending`: its turn is next, or after others of
 * the sender that are here; `queued`: something before it is missing. The pools of the sequencers are not asked.
 */

import { toChecksumAddress } from '@ethereumjs/util';
import { defineMethod, type RpcMethod, toQuantity } from '@squad/service';
import { toHex } from '@squad/types';
import { maxGasPrice } from '../execution/evm/transaction.ts';
import type { RpcState } from './context.ts';
import { formatWaitingTransaction } from './format.ts';
import { MAX_POOL_TRANSACTIONS } from './limits.ts';
import { Address } from './schemas.ts';
import type { SubmittedTransaction } from './submitted.ts';

type Pool = Record<'pending' | 'queued', SubmittedTransaction[]>;

export function poolMethods(state: RpcState): RpcMethod[] {
  const whole = { name: 'pool', description: `By sender and nonce; ${MAX_POOL_TRANSACTIONS} transactions at most` };
  const wholePool = () => sort(state, state.submitted.first(MAX_POOL_TRANSACTIONS));
  return [
    defineMethod({
      name: 'txpool_status',
      summary: 'How many transactions were sent through this node and wait',
      params: {},
      result: { name: 'status', description: 'Two quantities' },
      handler: async () => {
        const { pending, queued } = await sort(state, state.submitted.first(state.submitted.size));
        return { pending: toQuantity(pending.length), queued: toQuantity(queued.length) };
      },
    }),
    defineMethod({
      name: 'txpool_content',
      summary: 'The transactions that wait',
      params: {},
      result: whole,
      handler: async () => mapped(await wholePool(), (list) => bySender(list, format)),
    }),
    defineMethod({
      name: 'txpool_inspect',
      summary: 'The transactions that wait, in a line each',
      params: {},
      result: whole,
      handler: async () => mapped(await wholePool(), (list) => bySender(list, describe)),
    }),
    defineMethod({
      name: 'txpool_contentFrom',
      summary: 'The transactions of a sender that wait',
      params: { address: Address },
      result: { name: 'pool', description: 'By nonce' },
      handler: async ({ address }) =>
        mapped(await sort(state, state.submitted.of(address)), (list) => byNonce(list, format)),
    }),
  ];
}

async function sort(state: RpcState, waiting: readonly SubmittedTransaction[]): Promise<Pool> {
  const pool: Pool = { pending: [], queued: [] };
  const block = state.block({ tag: 'pending' });
  const next = new Map<string, bigint>();
  for (const transaction of waiting) {
    const sender = toHex(transaction.from);
    let first = next.get(sender);
    if (first === undefined) {
      const account = await state.reader.account(transaction.from, block);
      first = state.submitted.nextNonce(transaction.from, account?.nonce ?? 0n);
      next.set(sender, first);
    }
    pool[transaction.decoded.nonce < first ? 'pending' : 'queued'].push(transaction);
  }
  return pool;
}

function mapped<T>(pool: Pool, map: (list: readonly SubmittedTransaction[]) => T): Record<keyof Pool, T> {
  return { pending: map(pool.pending), queued: map(pool.queued) };
}

function bySender<T>(list: readonly SubmittedTransaction[], map: (one: SubmittedTransaction) => T) {
  const senders = Map.groupBy(list, ({ from }) => toChecksumAddress(toHex(from)));
  return Object.fromEntries([...senders].map(([sender, theirs]) => [sender, byNonce(theirs, map)]));
}

function byNonce<T>(list: readonly SubmittedTransaction[], map: (one: SubmittedTransaction) => T): Record<string, T> {
  return Object.fromEntries(list.map((one) => [String(one.decoded.nonce), map(one)]));
}

function format({ decoded, hash, from }: SubmittedTransaction): unknown {
  return formatWaitingTransaction(decoded, hash, from);
}

function describe({ decoded }: SubmittedTransaction): string {
  const to = decoded.to === undefined ? 'contract creation' : toChecksumAddress(toHex(decoded.to.bytes));
  return `${to}: ${decoded.value} wei + ${decoded.gasLimit} gas × ${maxGasPrice(decoded)} wei`;
}
