/** What has to come about once the faults have ended, within bounded virtual time, whatever the adversaries go on doing. */

import { InvariantViolation } from '@squad/consensus/sim';
import type { NodeWorld } from './world.ts';

const BOUND_MS = 90_000;
/** With epochs a whole one has to pass, in which Byzantine leaders have their turns. */
const EPOCHS_BOUND_MS = 240_000;
const HEIGHTS = 3;
/** Who is further behind when all is calm will not catch up: there is no need to wait for the bound. */
const MAX_EPOCHS_BEHIND = 12;
const STEP_MS = 200;

/** `accepted`: transactions that honest nodes said they had accepted. */
export async function becomeLive(world: NodeWorld, accepted: () => ReadonlySet<string>): Promise<void> {
  const { queue, honest, final, followers } = world;
  const { epochs } = world.schedule;
  // With epochs, far enough that a boundary has to be crossed.
  const gain = epochs ? epochs.lengthBlocks + 1 : HEIGHTS;
  const height = Math.max(...honest.map((node) => final.cursor(node.place))) + gain;
  const withinMs = epochs ? EPOCHS_BOUND_MS : BOUND_MS;
  const end = queue.nowMs + withinMs;
  const maxBehind = epochs ? MAX_EPOCHS_BEHIND * epochs.lengthBlocks : Number.POSITIVE_INFINITY;
  const isLost = () => {
    const lowest = Math.min(...honest.map((node) => final.cursor(node.place)));
    return final.chain.length - 1 - lowest > maxBehind;
  };
  const wait = async (lacking: () => string | undefined): Promise<void> => {
    for (let missing = lacking(); missing !== undefined; missing = lacking()) {
      if (queue.nowMs > end) {
        throw new InvariantViolation('liveness', `${withinMs} ms after the faults ended ${missing}`);
      }
      if (isLost()) throw new InvariantViolation('liveness', `more than ${maxBehind} blocks behind, ${missing}`);
      await world.runUntil(queue.nowMs + STEP_MS);
    }
  };
  await wait(() => {
    for (const node of honest) {
      const at = final.cursor(node.place);
      if (at < height) return `${node.name} is at height ${at}, not ${height}`;
    }
    const behind = followers.find((follower) => follower.height < height);
    return behind && `${behind.name} is at height ${behind.height}, not ${height}`;
  });
  // Also what was accepted since, while a boundary was crossed.
  const promised = new Set(accepted());
  await wait(() => {
    for (const { name, transactions } of followers) {
      const derived = new Set(transactions);
      for (const hash of promised) if (!derived.has(hash)) return `${hash} was accepted, and ${name} lacks it`;
    }
    return undefined;
  });
  world.count('everything accepted is in the sequence');
}
