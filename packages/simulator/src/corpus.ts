/** Every schedule that ever failed, with what it was: they always run. One line each, `mode | schedule | what it was`. */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface CorpusEntry {
  readonly mode: string;
  readonly schedule: string;
  readonly what: string;
}

export function readCorpus(): CorpusEntry[] {
  return parseCorpus(readFileSync(corpusFile(), 'utf8'));
}

/** Throws a RangeError that names the line. */
export function parseCorpus(text: string): CorpusEntry[] {
  const entries: CorpusEntry[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [mode, schedule, what] = line.split('|').map((part) => part.trim());
    if (!mode || !schedule || !what) {
      throw new RangeError(`corpus line ${i + 1}: expected "mode | schedule | what it was"`);
    }
    entries.push({ mode, schedule, what });
  }
  return entries;
}

/** Beside the sources, wherever this runs from. */
function corpusFile(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, 'corpus', 'schedules.txt');
    if (existsSync(file)) return file;
    if (folder === dirname(folder)) throw new Error('corpus/schedules.txt is not there');
  }
}
