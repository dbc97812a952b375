/** Limits of the Nitro feed. LIMITS.md lists them. */

/** Bytes of the L2 message of one block: Nitro drops a longer one (`arbostypes.MaxL2MessageSize`). */
export const MAX_L2_MESSAGE_BYTES: number = 256 * 1024;
/** Clients of the feed at one time: Nitro nodes and relays, which serve others. */
export const MAX_FEED_CLIENTS = 64;
/** Messages in one frame, as in a segment of Nitro's own backlog. */
export const MAX_FEED_FRAME_MESSAGES = 240;
/** Bytes of L2 messages after which a frame takes no further message; it exceeds them by one message at most. */
export const MAX_FEED_FRAME_BYTES: number = 1024 * 1024;
/** Bytes that a client may send in one WebSocket message: it has nothing to say but pongs. */
export const MAX_FEED_CLIENT_BYTES = 1024;
/** Milliseconds between two pings. Nitro's client leaves a feed that is silent for 20 s. */
export const FEED_PING_MS = 5_000;
/** Pings in a row with neither an answer nor a frame taken: with the next one due the client is cut off. Nitro: after 15 s. */
export const MAX_UNANSWERED_FEED_PINGS = 3;
/** Bytes of the file with the feed's key. */
export const MAX_FEED_KEY_FILE_BYTES = 1_024;
/** Milliseconds in which a client must have sent its request. */
export const FEED_HANDSHAKE_TIMEOUT_MS = 5_000;
