/** The token of the Engine API, and the file that its secret comes from. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type SquadError, toHex } from '@squad/types';
import { expect, it } from 'vitest';
import { createJwt, readJwtSecret } from '../src/engine/jwt.ts';
import { MAX_JWT_SECRET_FILE_BYTES } from '../src/engine/limits.ts';
import { authorizationFault } from '../src/testing/engine/authority.ts';
import { temporaryDirectory } from './support/directory.ts';

const SECRET = new Uint8Array(32).map((_, index) => index);
const HEX = Buffer.from(SECRET).toString('hex');
const NOW = 1_700_000_000;

it('is HS256 over header and claims, as other libraries make it', () => {
  expect(createJwt(SECRET, NOW)).toBe(
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3MDAwMDAwMDB9.uAxdaUtr1_HpYPtNDLNlQ_sHMiP5eBV-ra8EjL3ScS8',
  );
});

it.each([
  [0, undefined],
  [60, undefined],
  [-60, undefined],
  [61, 'stale token'],
  [-61, 'stale token'],
])('is taken %i seconds later: %s', (seconds, fault) => {
  expect(authorizationFault(`Bearer ${createJwt(SECRET, NOW)}`, SECRET, NOW + seconds)).toBe(fault);
});

async function read(text: string): Promise<string> {
  const path = join(temporaryDirectory(), 'jwt.hex');
  writeFileSync(path, text);
  try {
    return toHex(await readJwtSecret(path));
  } catch (error) {
    expect(String(error)).not.toContain(HEX.slice(0, 8));
    return (error as SquadError).code;
  }
}

it('reads a secret with and without 0x, with white space around it', async () => {
  for (const text of [HEX, `0x${HEX}`, `  ${HEX}\r\n`, HEX.padEnd(MAX_JWT_SECRET_FILE_BYTES)]) {
    expect(await read(text)).toBe(`0x${HEX}`);
  }
});

it.each([
  ['nothing', ''],
  ['31 bytes', HEX.slice(2)],
  ['33 bytes', `${HEX}00`],
  ['no hex', `${HEX.slice(2)}zz`],
  ['a file that is too long', HEX.padEnd(MAX_JWT_SECRET_FILE_BYTES + 1)],
])('refuses %s', async (_, text) => {
  expect(await read(text)).toBe('JWT_SECRET_INVALID');
});

it('says which file cannot be read', async () => {
  const path = join(temporaryDirectory(), 'none');
  await expect(readJwtSecret(path)).rejects.toMatchObject({ code: 'JWT_SECRET_UNREADABLE' });
  await expect(readJwtSecret(path)).rejects.toThrow(path);
});
