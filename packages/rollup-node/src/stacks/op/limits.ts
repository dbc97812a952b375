/** Limits of what is here of the OP Stack. LIMITS.md lists them. */

/** Bytes of a `rollup.json`. */
export const MAX_OP_ROLLUP_CONFIG_BYTES: number = 64 * 1024;
/** Transactions of one block besides the L1 attributes: the client is asked to begin it once more for each that it refuses. */
export const MAX_OP_BLOCK_TRANSACTIONS = 500;
/** Bytes of these transactions. */
export const MAX_OP_BLOCK_BYTES: number = 2 * 1024 * 1024;
/** L1 blocks that the anchor of an ordered block may be ahead of the chain's L1 origin. */
export const MAX_L1_DISTANCE_BLOCKS = 8_192;
/** L1 headers that are held: all up to the anchor, and those of soft order that was replaced. */
export const MAX_L1_HEADERS: number = 2 * MAX_L1_DISTANCE_BLOCKS;
/** L1 blocks whose deposits and changes of the SystemConfig are held, for soft order that is replaced. */
export const MAX_L1_BLOCKS = 64;
/** L1 endpoints of a node. */
export const MAX_L1_ENDPOINTS = 8;
/** Bytes of one answer of an L1 endpoint: the receipts of a block, in JSON. */
export const MAX_L1_ANSWER_BYTES: number = 64 * 1024 * 1024;
/** Milliseconds for one call of an L1 endpoint. */
export const L1_CALL_TIMEOUT_MS = 10_000;
/** Milliseconds before an L1 endpoint that failed is tried again, or the next one; doubled at each further one. */
export const L1_RETRY_MIN_MS = 250;
export const L1_RETRY_MAX_MS = 12_000;
