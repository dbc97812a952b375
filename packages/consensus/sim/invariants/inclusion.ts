/** R10, as far as it can be seen from outside: what an honest leader may order. */

import type { Block, ValidatorIndex } from '@squad/types';
import { type InvariantContext, InvariantViolation, type ObservedNode } from './api.ts';

/** What the network's delay is taken for at the least (R17), written out again. */
const MIN_DELAY_MS = 150;

/**
 * A batch that is younger than the network's delay is ordered only if more than F weight holds it, and so may have
 * acknowledged it. `orderedBatches`: of a lane, in final blocks; nobody needs to hold these to acknowledge them.
 */
export function checkIncluded(
  { nodes, isByzantine, weights, batchOf, nowMs, count }: InvariantContext,
  leader: ObservedNode,
  { header, refs }: Block,
  orderedBatches: (author: ValidatorIndex) => number,
): void {
  const tolerated = Math.floor((weigh([...weights.keys()], weights) - 1) / 3);
  for (const { author, seq, digest } of refs) {
    const batch = batchOf(digest);
    if (!batch || isByzantine(author) || seq < orderedBatches(author)) continue;
    if (nowMs() - batch.madeAtMs >= MIN_DELAY_MS) continue;
    count('a young batch ordered');
    const holders = new Set(nodes().flatMap((node) => (node.isBatchDurable(digest) ? [node.index] : [])));
    const mayHold = [...weights.keys()].filter((index) => isByzantine(index) || holders.has(index));
    if (weigh(mayHold, weights) > tolerated) continue;
    throw new InvariantViolation(
      'held by more than F',
      `${leader.name} orders batch ${author}/${seq} in view ${header.view}, which is young and hardly held`,
    );
  }
}

export function weigh(signers: readonly ValidatorIndex[], weights: readonly number[]): number {
  return signers.reduce((sum, signer) => sum + weights[signer]!, 0);
}
