/** Limits of station 1; those of the server itself are `@squad/service`'s. */

/** Transactions in one squad_sendTransactions call. */
export const MAX_TRANSACTIONS_PER_CALL = 1_024;
