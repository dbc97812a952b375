/** R5: who holds two batches of one place of a lane has evidence of it, kept and passed on. */

import { equalBytes, type SignedBatchHeader } from '@squad/types';
import type { NodeOfWorld } from './node.ts';
import type { NodeWorld } from './world.ts';

/** Virtual time for it: what was found is verified once more and written to the disk. */
const WITHIN_MS = 100;

/** A batch that has just become durable on a node's disk, of which its lanes know already. */
export function checkFork(world: NodeWorld, node: NodeOfWorld, { header, signature }: SignedBatchHeader): void {
  const { sequencer, life } = node;
  const { epoch, author, seq } = header;
  if (!node.isHonest || !sequencer || !life || epoch !== sequencer.epoch) return;
  const first = sequencer.lanes.firstAt(author, seq);
  if (!first || equalBytes(first.signature, signature)) return;
  world.count('two batches of one place are held');
  world.queue.after(WITHIN_MS, () => {
    const isKept = sequencer.evidence.held.some(
      ({ conviction: { kind, epoch: when, validators } }) =>
        kind === 'E5' && when === epoch && validators.includes(author),
    );
    if (life.isAlive && !isKept)
      world.fail('forks are evidence', `${node.name} holds two batches ${author}/${seq} and no evidence of it`);
  });
}
