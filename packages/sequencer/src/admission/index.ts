export * from './admission.ts';
export type { AdmittedEvm } from './admit-evm.ts';
export { type EvmRules, MAX_INIT_CODE_BYTES, OSAKA_MAX_TRANSACTION_GAS } from './evm-rules.ts';
export { chainIdOf, decodeEvmTransaction, type EvmTransaction } from './evm-transaction.ts';
export * from './limits.ts';
export { genesisPolicy, type RollupPolicy } from './policy.ts';
export * from './rejection.ts';
