/** Limits of following. */

/** Characters of JSON that wait to be verified; beyond it the connection is closed and opened again for the rest. */
export const MAX_QUEUED_CHARACTERS: number = 64 * 1024 * 1024;
/** Characters of an endpoint's own words that an error repeats. */
export const MAX_QUOTED_CHARACTERS = 500;
/** Milliseconds without a new final block after which other endpoints are asked whether there is one. */
export const STALL_MS = 3_000;
/** Milliseconds that a block may take after others took as long and did not give it either: it may be large. */
export const MAX_STALL_MS = 60_000;
/** Milliseconds between two looks at the clock. */
export const LOOK_INTERVAL_MS = 250;
