/**
 * Filters that are polled (eth_newFilter and its relatives). Blocks and logs are looked up when polled, transactions are
 * collected once for all filters: nothing grows by what nobody polls.
 */

import { randomBytes } from 'node:crypto';
import { defineMethod, type RpcMethod } from '@squad/service';
import { type Hex, isHex } from '@squad/types';
import { z } from 'zod';
import { MAX_LOG_RANGE_BLOCKS, MAX_LOG_RESULTS } from '../execution/evm/history.ts';
import { hexOf } from '../hex.ts';
import { findLogs } from './block-methods.ts';
import type { RpcState } from './context.ts';
import { refused } from './errors.ts';
import { formatLog } from './format.ts';
import { FILTER_EXPIRY_MS, MAX_FILTER_CHANGES, MAX_FILTERS } from './limits.ts';
import { LogQuery } from './schemas.ts';

type Filter = { lastUsedMs: number } & (
  | { readonly kind: 'logs'; readonly query: LogQuery; readonly release: () => void; next: number }
  | { readonly kind: 'blocks'; next: number }
  | { readonly kind: 'transactions'; next: number }
);

export class Filters {
  readonly #state: RpcState;
  /** Least recently used first. */
  readonly #filters = new Map<string, Filter>();
  /** Of executed transactions, the newest last; of all filters together. */
  #hashes: Uint8Array[] = [];
  /** How many have been executed. */
  #executed = 0;
  readonly #stop: () => void;

  constructor(state: RpcState) {
    this.#state = state;
    this.#stop = state.events.on('transaction', (hash) => this.#onTransaction(hash));
  }

  close(): void {
    this.#stop();
    this.#filters.clear();
  }

  create(filter: { kind: 'logs'; query: LogQuery } | { kind: 'blocks' } | { kind: 'transactions' }): Hex {
    this.#expire();
    if (this.#filters.size >= MAX_FILTERS) {
      throw refused(
        `this node has ${MAX_FILTERS} filters already`,
        'TOO_MANY_FILTERS',
        'Use eth_subscribe over WebSocket.',
      );
    }
    const id = hexOf(randomBytes(16));
    const lastUsedMs = this.#state.now();
    const next = filter.kind === 'transactions' ? this.#executed : this.#state.history.latestNumber + 1;
    if (filter.kind === 'logs') {
      const release = this.#state.heldAlternatives.hold(filter.query);
      this.#filters.set(id, { ...filter, release, next, lastUsedMs });
    } else {
      this.#filters.set(id, { ...filter, next, lastUsedMs });
    }
    return id;
  }

  remove(id: string): boolean {
    const filter = this.#filters.get(id);
    if (filter?.kind === 'logs') filter.release();
    return this.#filters.delete(id);
  }

  /** What is new since the filter was made or last polled. */
  async changes(id: string): Promise<unknown[]> {
    const filter = this.#use(id);
    if (filter.kind === 'transactions') {
      const missed = Math.min(this.#executed - filter.next, MAX_FILTER_CHANGES);
      filter.next = this.#executed;
      return missed === 0 ? [] : this.#hashes.slice(-missed).map(hexOf);
    }
    const from = filter.next;
    const to = Math.min(this.#state.history.latestNumber, from + MAX_LOG_RANGE_BLOCKS - 1);
    if (to < from) return [];
    filter.next = to + 1;
    if (filter.kind === 'blocks') {
      const numbers = Array.from({ length: to - from + 1 }, (_, index) => from + index);
      return numbers.map((number) => hexOf(this.#state.executor.hashAt(number)));
    }
    return this.#newLogs(filter, from, to);
  }

  logs(id: string): Promise<unknown[]> {
    const filter = this.#use(id);
    if (filter.kind === 'logs') return findLogs(this.#state, filter.query);
    throw refused('filter not found', 'NOT_A_LOG_FILTER', 'Use the id that eth_newFilter returned.');
  }

  async #newLogs(filter: Filter & { kind: 'logs' }, from: number, to: number): Promise<unknown[]> {
    const { query } = filter;
    const first = 'number' in query.from ? Math.max(from, query.from.number) : from;
    const last = 'number' in query.to ? Math.min(to, query.to.number) : to;
    if ('hash' in query.from) return [];
    const found = await this.#state.history.logs(first, last, query, MAX_LOG_RESULTS);
    if (found.length > MAX_LOG_RESULTS) {
      filter.next = found.at(-1)!.block.summary.number;
      const whole = found.filter(({ block }) => block.summary.number < filter.next);
      if (whole.length === 0)
        throw refused('one block has too many matching logs', 'TOO_MANY_LOGS', 'Narrow the filter.');
      return whole.map(formatLog);
    }
    return found.map(formatLog);
  }

  #use(id: string): Filter {
    this.#expire();
    const filter = this.#filters.get(id);
    if (filter === undefined) {
      throw refused(
        'filter not found',
        'FILTER_NOT_FOUND',
        `Make it anew; filters end ${FILTER_EXPIRY_MS} ms after their last use.`,
      );
    }
    filter.lastUsedMs = this.#state.now();
    this.#filters.delete(id);
    this.#filters.set(id, filter);
    return filter;
  }

  #expire(): void {
    for (const [id, { lastUsedMs }] of this.#filters) {
      if (lastUsedMs + FILTER_EXPIRY_MS > this.#state.now()) return;
      this.remove(id);
    }
  }

  #onTransaction(hash: Uint8Array): void {
    this.#executed++;
    this.#hashes.push(hash);
    // Now and then: taking the first one out each time moves all others.
    if (this.#hashes.length >= 2 * MAX_FILTER_CHANGES) this.#hashes = this.#hashes.slice(-MAX_FILTER_CHANGES);
  }
}

const FilterId = z.string().refine((value) => isHex(value, 16), { error: 'expected the id of a filter' });

export function filterMethods(filters: Filters): RpcMethod[] {
  const params = { filterId: FilterId };
  const made = { name: 'filterId', description: 'To poll with eth_getFilterChanges' };
  return [
    defineMethod({
      name: 'eth_newFilter',
      summary: 'A filter for logs of new blocks',
      params: { filter: LogQuery },
      result: made,
      handler: ({ filter }) => filters.create({ kind: 'logs', query: filter }),
    }),
    defineMethod({
      name: 'eth_newBlockFilter',
      summary: 'A filter for hashes of new blocks',
      params: {},
      result: made,
      handler: () => filters.create({ kind: 'blocks' }),
    }),
    defineMethod({
      name: 'eth_newPendingTransactionFilter',
      summary: 'A filter for hashes of transactions as they are executed in soft order',
      params: {},
      result: made,
      handler: () => filters.create({ kind: 'transactions' }),
    }),
    defineMethod({
      name: 'eth_getFilterChanges',
      summary: 'What is new since the last poll',
      params,
      result: { name: 'changes', description: 'Logs, block hashes or transaction hashes' },
      handler: ({ filterId }) => filters.changes(filterId.toLowerCase()),
    }),
    defineMethod({
      name: 'eth_getFilterLogs',
      summary: 'All logs of a filter’s range',
      params,
      result: { name: 'logs', description: 'As eth_getLogs' },
      handler: ({ filterId }) => filters.logs(filterId.toLowerCase()),
    }),
    defineMethod({
      name: 'eth_uninstallFilter',
      summary: 'Ends a filter',
      params,
      result: { name: 'existed', description: 'Whether there was such a filter', schema: z.boolean() },
      handler: ({ filterId }) => filters.remove(filterId.toLowerCase()),
    }),
  ];
}
