/** Execution as a rollup team needs it: the port for executors of one's own, and the ledger as a pattern for one. */
export * from './api.ts';
export { LedgerExecutor } from './ledger/executor.ts';
export * from './ledger/transaction.ts';
