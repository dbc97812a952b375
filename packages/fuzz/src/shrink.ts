/** Makes a failing input shorter while it still fails the same way. */

import { splice } from './bytes.ts';
import { examine, type Fault } from './examine.ts';
import type { Target } from './target.ts';

const MOST_TRIES = 2_000;

export async function shrink(target: Target, input: Uint8Array, fault: Fault): Promise<Uint8Array> {
  let best = input;
  let tries = 0;
  const failsAlike = async (candidate: Uint8Array): Promise<boolean> => {
    tries++;
    const outcome = await examine(target, candidate, false);
    return 'fault' in outcome && kindOf(outcome.fault) === kindOf(fault);
  };
  for (let size = best.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at + size <= best.length && tries < MOST_TRIES; ) {
      const candidate = splice(best, at, at + size, new Uint8Array(0));
      if (await failsAlike(candidate)) best = candidate;
      else at += size;
    }
  }
  for (let at = 0; at < best.length && tries < MOST_TRIES; at++) {
    if (best[at] === 0) continue;
    const candidate = best.slice();
    candidate[at] = 0;
    if (await failsAlike(candidate)) best = candidate;
  }
  return best;
}

/** Where it was thrown, or the words of a violation without its numbers. */
function kindOf({ message, stack }: Fault): string {
  const place = /\n\s+at (.*)/.exec(stack)?.[1] ?? '';
  return `${message.replace(/\d+/g, '#').slice(0, 60)} ${place}`;
}
