/** Limits of one process: defaults of the options that carry the same names in lower camel case. LIMITS.md lists them. */

/** Bytes of one HTTP body or one WebSocket message. */
export const MAX_RPC_BODY_BYTES: number = 8 * 1024 * 1024;
/** Pieces in which one HTTP body may come: chunks, or what the network delivers at once. */
export const MAX_RPC_BODY_PIECES: number = 16 * 1024;
/** Bytes of bodies and answers that all connections of one JSON-RPC server may hold, beyond what each has for itself. */
export const MAX_RPC_SHARED_BYTES: number = 256 * 1024 * 1024;
/** Bytes of bodies and answers that each connection may hold whatever the others do. */
export const MAX_RPC_OWN_BYTES: number = 64 * 1024;
/** Milliseconds that a client may take to read one HTTP answer. */
export const RPC_ANSWER_TIMEOUT_MS = 60_000;
/** Calls in one JSON-RPC batch. */
export const MAX_RPC_BATCH_CALLS = 1_000;
/** Calls of one JSON-RPC batch that are being answered at once; the next one waits. */
export const MAX_RPC_BATCH_CALLS_IN_FLIGHT = 256;
/** Milliseconds for which the calls of one batch may hold the event loop before others get their turn. */
export const MAX_RPC_BATCH_TURN_MS = 10;
/** Bytes of one HTTP or WebSocket answer; in a batch, of all answers together. */
export const MAX_RPC_RESPONSE_BYTES: number = 32 * 1024 * 1024;
/** Open TCP connections of one JSON-RPC server, WebSockets included. */
export const MAX_RPC_CONNECTIONS = 4_096;
/** Open WebSocket connections of one JSON-RPC server. */
export const MAX_WEBSOCKET_CONNECTIONS = 1_024;
/** Live subscriptions of one WebSocket connection. */
export const MAX_SUBSCRIPTIONS_PER_CONNECTION = 64;
/** Live subscriptions of one JSON-RPC server, over all of its connections: each event is sent to every one of them. */
export const MAX_LIVE_SUBSCRIPTIONS = 4_096;
/** Bytes that may wait for a slow WebSocket consumer when the next message comes; if more do, it is closed. */
export const MAX_WEBSOCKET_BUFFER_BYTES: number = 16 * 1024 * 1024;
/** WebSocket messages of one connection that are being handled; reading pauses at this number. */
export const MAX_WEBSOCKET_IN_FLIGHT = 64;
/** Addresses with a token bucket of their own; beyond it the least recently seen one is forgotten. */
export const MAX_RATE_LIMITED_ADDRESSES = 16_384;
/** Milliseconds for a client to deliver one whole HTTP request. */
export const RPC_REQUEST_TIMEOUT_MS = 30_000;
/** Milliseconds between WebSocket pings; a peer that answers none in one interval is closed. */
export const WEBSOCKET_PING_INTERVAL_MS = 30_000;
/** Milliseconds that the client waits for an answer. */
export const RPC_CLIENT_TIMEOUT_MS = 10_000;
/** Bytes of one answer that the client reads. */
export const MAX_RPC_CLIENT_ANSWER_BYTES: number = 64 * 1024 * 1024;
/** Bytes of one configuration file. */
export const MAX_OPTIONS_FILE_BYTES: number = 64 * 1024;
/** Lists and mappings inside of each other in one configuration file. */
export const MAX_OPTIONS_FILE_DEPTH = 32;
