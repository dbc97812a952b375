/** A bundle stands in one block as a whole, or in none (R1). */

import type { BatchRef } from '@squad/types';

/** Of the protocol, written out again: what the code says is what is being checked. */
const MAX_BUNDLE = 16;

/** How the refs of a block break a bundle, for a sentence about the block; undefined if they do not. */
export function cutBundle(refs: readonly BatchRef[]): string | undefined {
  let length = 0;
  for (const [i, { author, seq, joinsNext }] of refs.entries()) {
    length++;
    if (length > MAX_BUNDLE) return `has a bundle of ${length} and more batches in lane ${author}`;
    if (joinsNext && refs[i + 1]?.author !== author) return `ends lane ${author} within a bundle, at ${seq}`;
    if (!joinsNext) length = 0;
  }
  return undefined;
}
