/** The file of a checkpoint: a final block, and what shows that it is. Loads nothing heavy: the command line writes it. */

import { z } from 'zod';

export const CHECKPOINT_FORMAT = 'squad-checkpoint';

const Hex = z.templateLiteral(['0x', z.string().regex(/^([0-9a-f]{2})*$/)]);
export const CheckpointFile = z.object({
  format: z.literal(CHECKPOINT_FORMAT),
  networkId: Hex,
  height: z.int().min(1),
  blockHash: Hex,
  /** SSZ of the block, and of a finalization of this very block. */
  block: Hex,
  certificate: Hex,
});
export type CheckpointFile = z.infer<typeof CheckpointFile>;
