/** Results of parts, kept and compared: by name, with the machine that they are of. */

import { readFileSync } from 'node:fs';
import { SquadError } from '@squad/types';
import { z } from 'zod';

export const MicroRecord = z.object({
  format: z.literal('squad-bench-micro'),
  version: z.literal(1),
  at: z.string(),
  commit: z.string().nullable(),
  cpu: z.string(),
  node: z.string(),
  microseconds: z.record(z.string(), z.number()),
});
export type MicroRecord = z.infer<typeof MicroRecord>;

/** Undefined if there is no such file. Throws `MICRO_RECORD_INVALID` if it is none of ours. */
export function readRecord(path: string): MicroRecord | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  try {
    return MicroRecord.parse(JSON.parse(text));
  } catch (error) {
    throw new SquadError('MICRO_RECORD_INVALID', `${path}: ${(error as Error).message}`, 'Delete the file.');
  }
}

/** `+12 %`, against an earlier result; undefined if there is none. */
export function change(now: number, before: number | undefined): string | undefined {
  if (before === undefined || before === 0) return undefined;
  const percent = (now / before - 1) * 100;
  return `${percent >= 0 ? '+' : '−'}${Math.abs(percent).toFixed(0)} %`;
}
