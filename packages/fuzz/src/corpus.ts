/** Every input that ever failed, one file for each target; they run before anything else, always. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fromHex } from '@squad/types';

export interface CorpusEntry {
  readonly bytes: Uint8Array;
  /** What was wrong, and with which input of which run. */
  readonly was: string;
}

/** From source and from the compiled program alike. */
const FOLDER: string = [new URL('../corpus/', import.meta.url), new URL('../../corpus/', import.meta.url)]
  .map((url) => fileURLToPath(url))
  .find((path) => existsSync(path))!;

/** Empty if the target never failed. */
export function corpusOf(target: string): CorpusEntry[] {
  const path = `${FOLDER}${target}.json`;
  if (!existsSync(path)) return [];
  const entries = JSON.parse(readFileSync(path, 'utf8')) as { hex: `0x${string}`; was: string }[];
  return entries.map(({ hex, was }) => ({ bytes: fromHex(hex), was }));
}
