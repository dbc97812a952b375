/**
 * Protocol limits (R23): part of what makes an object valid, so every node has the same. Limits of one process (queues,
 * rates, timeouts) are options of the package that owns them. LIMITS.md lists them all by these names.
 */

/** Validators in one set. */
export const MAX_VALIDATORS = 256;
/** Bytes of one transaction. */
export const MAX_TRANSACTION_BYTES = 128 * 1024;
/** Bytes of one batch body, length prefixes included. */
export const MAX_BATCH_BODY_BYTES = 512 * 1024;
/** Transactions in one batch. */
export const MAX_BATCH_TRANSACTIONS = 16_384;
/** Sealed batches of one lane that are not ordered yet (R1). */
export const MAX_UNORDERED_BATCHES_PER_LANE = 64;
/** Batches of one bundle, which stand in one block or in none (R1). */
export const MAX_BUNDLE_BATCHES = 16;
/** Batch references in one block; with MAX_BATCH_BODY_BYTES they bound the bytes that one block orders to 256 MiB. */
export const MAX_BATCH_REFS_PER_BLOCK = 512;
/** Views that one proposal may skip, each with its nullification certificate. */
export const MAX_SKIPPED_VIEWS = 4096;
/** Milliseconds that a block's timestamp may be ahead of the voter's clock (R11). */
export const MAX_CLOCK_DRIFT_MS = 500;
/** Blocks that a validator's bodies may be behind its final head before it stops notarizing (R21). */
export const MAX_BODY_LAG_BLOCKS = 64;
/** Blocks in one answer of the catch-up protocol, and on the path from a block to the finalization that covers it. */
export const MAX_BLOCKS_PER_RANGE = 128;
/**
 * Headers between an epoch's boundary block and the epilogue block that is final (R22): blocks in a row of which none is
 * final by itself. 0 when all goes well.
 */
export const MAX_HAND_OVER_PATH_HEADERS = 1024;
/** Validator sets that a genesis file, or an operator's file, names for later epochs (R22). */
export const MAX_SCHEDULED_VALIDATOR_SETS = 64;
/** Bytes of a genesis file, and of an operator's validator schedule: all that their form allows is 50 MB of them. */
export const MAX_GENESIS_FILE_BYTES: number = 64 * 1024 * 1024;
export const MAX_VALIDATOR_SCHEDULE_FILE_BYTES: number = 64 * 1024 * 1024;
/** L1 blocks by which the anchor of one block may be above its parent's (R24): what a rollup has to take in at once. */
export const MAX_L1_ANCHOR_ADVANCE_BLOCKS = 16;
/** Voting weight of one validator. */
export const MAX_VALIDATOR_WEIGHT = 1_000_000;
/** Bytes of a chunk of a batch body, the leaf of its body root. */
export const BODY_CHUNK_BYTES = 4096;
