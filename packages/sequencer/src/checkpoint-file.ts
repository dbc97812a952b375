/** The file of a checkpoint: a final block, and what shows that it is. Loads nothing heavy: the command line writes it. */

import { isHex } from '@squad/types';
import { z } from 'zod';

export const CHECKPOINT_FORMAT = 'squad-checkpoint';
/** Epochs from genesis to that of the block: each takes a proof, some kilobytes, and a signature check of a millisecond. */
export const MAX_CHECKPOINT_EPOCHS = 4_096;
/** Bytes of the file. */
export const MAX_CHECKPOINT_FILE_BYTES: number = 256 * 1024 * 1024;

/** As `toHex` writes it. Not by a group that repeats: the engine's stack ends at some megabytes of digits. */
const Hex = z.string().refine((text) => isHex(text) && !/[A-F]/.test(text), {
  error: 'expected 0x and pairs of lower-case hex digits',
});
export const CheckpointFile = z.object({
  format: z.literal(CHECKPOINT_FORMAT),
  networkId: Hex,
  height: z.int().min(1),
  blockHash: Hex,
  /** SSZ of the block, and of a finalization of this very block. */
  block: Hex,
  certificate: Hex,
  /** SSZ of the proofs of the ends of epochs 0 to that before the block's own (R22); in a file of the first epoch it may be left out. */
  handOvers: z.array(Hex).max(MAX_CHECKPOINT_EPOCHS).default([]),
  /** SSZ of the last block of the epoch before, after which the block's own begins. */
  boundaryBlock: Hex.optional(),
});
export type CheckpointFile = z.input<typeof CheckpointFile>;
