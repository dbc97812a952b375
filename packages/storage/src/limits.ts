/** The limits of storage (R23): what one record, frame, queue or cache may hold. */

/** Bytes of one log record's payload. */
export const MAX_RECORD_BYTES: number = 64 * 1024 * 1024;
/** Bytes of one frame, that is of all records of one `append`. */
export const MAX_FRAME_BYTES: number = 256 * 1024 * 1024;
/** Records of one `append`. */
export const MAX_RECORDS_PER_FRAME = 65_536;
/** Bytes appended and not yet taken by the operating system. */
export const MAX_PENDING_BYTES: number = 1024 * 1024 * 1024;
/** Bytes after which a log goes on in a new segment file. A frame is never split: a larger one has a segment alone. */
export const SEGMENT_BYTES: number = 64 * 1024 * 1024;
/** The highest kind of a consensus record; those above are the store's own. */
export const MAX_CONSENSUS_KIND = 239;
/** Bytes of batches that are kept in memory. What came with one in a frame, an eighth of it at most, stays with it uncounted. */
export const BATCH_CACHE_BYTES: number = 32 * 1024 * 1024;
/** Batches whose positions are kept in memory. */
export const RECENT_BATCHES = 131_072;
/** Final blocks whose hashes are kept in memory, to tell a repetition from a conflict. */
export const RECENT_BLOCKS = 1024;
/** Batches and blocks that wait for their index entries before these are written in one go. */
export const INDEX_FLUSH_ENTRIES = 256;
/** The same, at which `sync` waits for the index. */
export const MAX_UNINDEXED_ENTRIES = 16_384;
/** Bytes of a `meta` value. */
export const MAX_META_BYTES: number = 512 * 1024;
/** Bytes of a `meta` key in UTF-8. */
export const MAX_META_KEY_BYTES = 256;
/** Transactions whose places gather in memory before they are written to the index. */
export const TRANSACTION_RUN_ENTRIES = 262_144;
/** Blocks after which they are written even if they are fewer: what is looked through again after a crash. */
export const TRANSACTION_RUN_BLOCKS = 16_384;
/** Places of transactions whose hashes begin alike that a look-up returns. */
export const MAX_TRANSACTION_CANDIDATES = 16;
/** Batches of one block that the index can tell apart. */
export const MAX_BATCHES_IN_INDEX = 65_536;
