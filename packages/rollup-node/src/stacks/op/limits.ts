/** Limits of what is here of the OP Stack. LIMITS.md lists them. */

/** Bytes of a `rollup.json`. */
export const MAX_OP_ROLLUP_CONFIG_BYTES: number = 64 * 1024;
