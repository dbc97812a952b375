/** Limits of station 1; those of the server itself are `@squad/service`'s. */

/** Transactions in one squad_sendTransactions call. */
export const MAX_TRANSACTIONS_PER_CALL = 1_024;
/** Live `squad_subscribe sequence` of one node: each reads and writes out all of a rollup's data for itself. */
export const MAX_SEQUENCE_SUBSCRIPTIONS = 64;
