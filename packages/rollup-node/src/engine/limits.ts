/** Limits of the engine driver. LIMITS.md lists them. */

/** Milliseconds for `engine_newPayload` and `engine_forkchoiceUpdated`, as the Engine API's specification has it. */
export const ENGINE_EXECUTE_TIMEOUT_MS = 8_000;
/** Milliseconds for every other call. The specification has 1 s; a client that just starts takes longer. */
export const ENGINE_QUERY_TIMEOUT_MS = 5_000;
/** Blocks that are given to a client that is behind before it is told of its new head. */
export const FORKCHOICE_EVERY_BLOCKS = 32;
/** Milliseconds after which the forkchoice is repeated though nothing changed: shows that the client is there. */
export const FORKCHOICE_REPEAT_MS = 30_000;
/** Milliseconds before the first retry; doubled at each further one. */
export const ENGINE_RETRY_MIN_MS = 100;
export const ENGINE_RETRY_MAX_MS = 5_000;
/** Blocks that are given again, at most, to a client that answers SYNCING though it has the parent. */
export const MAX_STEP_BACK_BLOCKS = 1_024;
/** Refusals of a forkchoice (-38002), or of building on a block, in a row after which the driver gives up. */
export const MAX_FORKCHOICE_REFUSALS = 8;
/** Times that a block is begun, the first one included, while the client does not know the payload any more (-38001). */
export const MAX_BUILD_ATTEMPTS = 3;
/** Bytes of the file with the JWT secret. */
export const MAX_JWT_SECRET_FILE_BYTES = 1_024;
/** Bytes of one answer of a client; the largest holds a payload with its transactions in hex. */
export const MAX_ENGINE_ANSWER_BYTES: number = 64 * 1024 * 1024;
