/** Limits of the eth_* methods. */

/** Gas that one eth_call, eth_estimateGas, eth_createAccessList or debug_traceCall may use; all calls of an eth_simulateV1. */
export const MAX_CALL_GAS = 50_000_000n;
/** Bytes of input that one call may bring. */
export const MAX_CALL_DATA_BYTES: number = 128 * 1024;
/** EIP-7702 authorizations that one call may bring: each costs a signature recovery of some milliseconds. */
export const MAX_CALL_AUTHORIZATIONS = 64;
/** Accounts whose state one call or one simulated block may override. */
export const MAX_OVERRIDDEN_ACCOUNTS = 256;
/** Slots of one account that it may override. */
export const MAX_OVERRIDDEN_SLOTS = 1024;
/** Withdrawals in one simulated block; Ethereum has no more (EIP-4895). */
export const MAX_SIMULATED_WITHDRAWALS = 16;
/** Transactions in one answer of txpool_content or txpool_inspect; txpool_status counts all. */
export const MAX_POOL_TRANSACTIONS = 1024;
/** Filters that exist at once, of all callers. */
export const MAX_FILTERS = 1024;
/** Milliseconds after its last use at which a filter is gone. */
export const FILTER_EXPIRY_MS: number = 5 * 60_000;
/** Hashes or logs that wait in one filter; the oldest are dropped. */
export const MAX_FILTER_CHANGES = 10_000;
/** Addresses, and alternatives of one topic, in a log filter. */
export const MAX_FILTER_ALTERNATIVES = 1000;
/** Addresses and topics that all filters and subscriptions for logs hold together. */
export const MAX_HELD_ALTERNATIVES: number = 256 * 1024;
/** Storage slots in one eth_getProof. */
export const MAX_PROOF_SLOTS = 1024;
/** Blocks in one eth_feeHistory. */
export const MAX_FEE_HISTORY_BLOCKS = 1024;
/** Percentiles in one eth_feeHistory. */
export const MAX_FEE_HISTORY_PERCENTILES = 100;
/** Transactions sent through this node that it remembers until they are executed. */
export const MAX_SUBMITTED_TRANSACTIONS = 16_384;
/** Of one sender. */
export const MAX_SUBMITTED_PER_SENDER = 1024;
/** Milliseconds after which a submitted transaction that was not executed is forgotten. */
export const SUBMITTED_EXPIRY_MS = 120_000;
/** Bytes of input of web3_sha3. */
export const MAX_SHA3_BYTES: number = 1024 * 1024;
