/** What of an EVM rollup is written, as entries of the store. */

import type { Common } from '@ethereumjs/common';
import { concatBytes, fromHex } from '@squad/types';
import type { RollupFile } from '../../config/rollup-file.ts';
import type { Cursor } from '../api.ts';
import { numberKey, type RollupStore, type StoreEntry } from '../store.ts';
import { type EvmBlock, encodeBodyRecord, encodeHeaderRecord, encodeReceiptsRecord, summaryOf } from './block.ts';
import { genesisAlloc, genesisHeader, writeAlloc } from './genesis.ts';
import { EMPTY_STATE, EvmState, type StateChanges, type StateSource } from './state.ts';

/** Key of the head record in the table `meta`. */
export const HEAD: Uint8Array = new TextEncoder().encode('head');

/** Writes block 0 and its state. */
export async function storeGenesis(
  file: RollupFile,
  common: Common,
  store: RollupStore,
  source: StateSource,
): Promise<void> {
  const state = new EvmState(source, EMPTY_STATE);
  await writeAlloc(state, genesisAlloc(file));
  const changes = state.flush();
  const header = genesisHeader(file, common, changes.root.hash);
  const entries: StoreEntry[] = [];
  entries.push(...stateEntries(changes));
  entries.push(...blockEntries({ header, summary: summaryOf(header, -1, 0), transactions: [], requests: [] }));
  entries.push(['meta', HEAD, encodeHead(0, undefined)]);
  await store.commit(entries);
}

/** What a block added to the state. */
export function stateEntries(changes: StateChanges): StoreEntry[] {
  const entries: StoreEntry[] = [];
  for (const [key, node] of changes.nodes) entries.push(['node', Buffer.from(key, 'hex'), node]);
  for (const [key, code] of changes.codes) entries.push(['code', Buffer.from(key, 'hex'), code]);
  return entries;
}

/** A block as stored, without its state. */
export function blockEntries(block: EvmBlock): StoreEntry[] {
  const number = numberKey(block.summary.number);
  const entries: StoreEntry[] = [
    ['header', number, encodeHeaderRecord(block)],
    ['body', number, encodeBodyRecord(block.transactions)],
    ['receipts', number, encodeReceiptsRecord(block.transactions)],
    ['numberByHash', block.summary.hash, number],
  ];
  block.transactions.forEach(({ hash }, index) => {
    entries.push(['transaction', hash, concatBytes(number, numberKey(index))]);
  });
  return entries;
}

/** The record that names the newest durable block, and how far the sequence is contained in it. */
export function encodeHead(number: number, cursor: Cursor | undefined): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({ number, cursor: cursor && { ...cursor, hash: Buffer.from(cursor.hash).toString('hex') } }),
  );
}

export function decodeHead(bytes: Uint8Array): { readonly number: number; readonly cursor: Cursor | undefined } {
  const { number, cursor } = JSON.parse(new TextDecoder().decode(bytes));
  return { number, cursor: cursor && { ...cursor, hash: fromHex(`0x${cursor.hash}`) } };
}
