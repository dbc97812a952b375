/** The length of a slot of a rollup. In a file of its own: tables of options read it, and load nothing heavy. */

import { z } from 'zod';

export const DEFAULT_BLOCK_TIME_MS = 1_000;
export const BlockTimeMs: z.ZodInt = z.int().min(100).max(3_600_000);
