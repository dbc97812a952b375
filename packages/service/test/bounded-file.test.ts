/** Files that came from somebody else are read up to a limit, whatever they say their size is. */

import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readBoundedFileSync } from '../src/bounded-file.ts';
import { readBoundedFile, readBoundedText } from '../src/index.ts';

const LIMIT = 200_000;
const directory = mkdtempSync(join(tmpdir(), 'squad-bounded-'));
afterAll(() => rmSync(directory, { recursive: true }));

it.each([
  ['nothing', 0],
  ['more than one piece', 100_000],
  ['as much as the limit', LIMIT],
])('gives all of a file with %s', async (_what, size) => {
  const path = join(directory, `${size}`);
  const content = Uint8Array.from({ length: size }, (_, i) => i % 251);
  writeFileSync(path, content);
  expect(Buffer.from((await readBoundedFile(path, LIMIT))!).equals(content)).toBe(true);
  expect(Buffer.from(readBoundedFileSync(path, LIMIT)!).equals(content)).toBe(true);
});

it('refuses a byte more', async () => {
  const path = join(directory, 'large');
  writeFileSync(path, new Uint8Array(LIMIT + 1));
  expect(await readBoundedFile(path, LIMIT)).toBeUndefined();
  expect(readBoundedFileSync(path, LIMIT)).toBeUndefined();
});

it('refuses what has no size and never ends', async () => {
  const path = join(directory, 'link');
  symlinkSync('/dev/zero', path);
  expect(await readBoundedFile(path, LIMIT)).toBeUndefined();
  expect(readBoundedFileSync(path, LIMIT)).toBeUndefined();
});

it('gives text, or says which limit it is', async () => {
  const path = join(directory, 'text');
  writeFileSync(path, 'größer');
  expect(await readBoundedText(path, 8, 'MAX_TEXT_BYTES')).toBe('größer');
  await expect(readBoundedText(path, 7, 'MAX_TEXT_BYTES')).rejects.toThrow('it has more bytes than MAX_TEXT_BYTES = 7');
});

it('throws where there is no file', async () => {
  expect(() => readBoundedFileSync(join(directory, 'none'), LIMIT)).toThrow('ENOENT');
  await expect(readBoundedFile(join(directory, 'none'), LIMIT)).rejects.toThrow('ENOENT');
});
