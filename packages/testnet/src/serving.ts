/** The word between a launcher and its children; apart from the rest, as every node loads it. */

/** What a child sends over IPC once it serves. */
export const SERVING_MESSAGE = 'serving';
