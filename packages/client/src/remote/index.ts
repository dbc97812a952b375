export {
  CALL_TIMEOUT_MS,
  type Liar,
  type LiarCode,
  MAX_ANSWER_CHARACTERS,
  MAX_ENDPOINTS,
  type NetworkAccess,
  networkAccess,
} from './api.ts';
export { type CallOptions, call } from './call.ts';
export * from './follow.ts';
export * from './get-block-proof.ts';
export * from './get-receipt.ts';
export * from './light-client-source.ts';
export * from './limits.ts';
export * from './submit.ts';
export * from './watch-transaction.ts';
