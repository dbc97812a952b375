/** A sequencer network's output, made up: blocks with chosen transactions and times, soft or final. */

import { createHash } from 'node:crypto';
import type { Bytes32 } from '@squad/types';
import type { ProvenBlock } from '../../src/derivation/api.ts';

export const GENESIS_TIME_MS = 1_700_000_000_000;

export interface PlannedBlock {
  /** Milliseconds after genesis. */
  readonly at: number;
  /** One batch for each list; none by default. */
  readonly batches?: readonly (readonly Uint8Array[])[];
  readonly l1Anchor?: ProvenBlock['l1Anchor'];
  /** Tells two blocks with the same contents apart. */
  readonly salt?: string;
}

/** Numbers the blocks from 1, or after `parent`, and links them. */
export function sequenceOf(plan: readonly PlannedBlock[], parent?: ProvenBlock): ProvenBlock[] {
  const blocks: ProvenBlock[] = [];
  let parentHash: Bytes32 = parent?.hash ?? sha256('genesis');
  let height = (parent?.height ?? 0) + 1;
  for (const { at, batches = [], l1Anchor, salt = '' } of plan) {
    const hash = sha256(`${height} ${at} ${salt}`, parentHash, l1Anchor?.hash ?? '', ...batches.flat());
    blocks.push({
      stage: 'final',
      height,
      view: height,
      hash,
      parentHash,
      timestampMs: GENESIS_TIME_MS + at,
      ...(l1Anchor && { l1Anchor }),
      batches: batches.map((transactions) => ({ digest: sha256('batch', ...transactions), transactions })),
    });
    parentHash = hash;
    height++;
  }
  return blocks;
}

export function soft(block: ProvenBlock): ProvenBlock {
  return { ...block, stage: 'soft' };
}

function sha256(...parts: readonly (string | Uint8Array)[]): Bytes32 {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}
