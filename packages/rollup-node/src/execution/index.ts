/** Execution of a rollup: the port, and the two executors. */
export * from './api.ts';
export { MAX_UNINTERRUPTED_MS } from './breathe.ts';
export * from './evm/block.ts';
export { decodeTransaction, EvmExecutor } from './evm/executor.ts';
export * from './evm/history.ts';
export * from './evm/reader.ts';
export { MAX_CACHED_STATE_ENTRIES, MAX_TRIE_NODES_IN_MEMORY } from './evm/state.ts';
export { LedgerExecutor, MAX_LEDGER_BLOCK_TRANSACTIONS } from './ledger/executor.ts';
export * from './ledger/transaction.ts';
export { STORE_CACHE_BYTES } from './store.ts';
