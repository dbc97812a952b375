/** Limits of what is here of the OP Stack. LIMITS.md lists them. */

/** Bytes of a `rollup.json`. */
export const MAX_OP_ROLLUP_CONFIG_BYTES: number = 64 * 1024;
/** Transactions of one block besides the L1 attributes: the client is asked to begin it once more for each that it refuses. */
export const MAX_OP_BLOCK_TRANSACTIONS = 500;
/** Bytes of these transactions. */
export const MAX_OP_BLOCK_BYTES: number = 2 * 1024 * 1024;
