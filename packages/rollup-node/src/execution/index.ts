/** Execution as a rollup team needs it: the port for executors of one's own, key-value rules, and the ledger as a pattern. */
export * from './api.ts';
export type { CustomRollup, ExecutorContext } from './custom.ts';
export {
  type KeyValueExecutor,
  type KeyValueRules,
  type KeyValueState,
  MalformedTransaction,
} from './key-value/executor.ts';
export * from './ledger/transaction.ts';
