/** Limits of station 2. */

/** Transactions that wait to be checked; more are refused with `ADMISSION_BUSY`. */
export const MAX_WAITING_TRANSACTIONS = 16_384;
/** Transactions in one message to a worker. */
export const MAX_TRANSACTIONS_PER_MESSAGE = 128;
/** Messages that one worker has at a time: one that it checks, one that is there when it is done. */
export const MAX_MESSAGES_PER_WORKER = 2;
/** Worker threads that check signatures. */
export const MAX_ADMISSION_THREADS = 8;
/** Workers that may die before all checks are done in place. */
export const MAX_WORKER_DEATHS = 3;
/**
 * Fewer waiting transactions than this are checked in place: 0.1 ms each, where a message to a worker and back takes 1 ms.
 */
export const INLINE_BELOW_TRANSACTIONS = 8;
/** Transactions a second that are checked in place, about a tenth of a core; beyond it workers take even single ones. */
export const MAX_INLINE_PER_SECOND = 1_000;
/** Transactions that one turn of the event loop checks in place while the first worker starts, or after all have died. */
export const MAX_INLINE_PER_TURN = 16;
/** What a sender is told to wait when too many wait. */
export const BUSY_RETRY_MS = 250;
