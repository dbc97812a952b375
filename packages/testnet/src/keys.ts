/** The testnet's keys, all derived from the folder's seed: a key file that was lost can be made again. */

import { hkdfSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { fromHex, toHex } from '@squad/types';
import type { ProcessPaths } from './layout.ts';
import type { Manifest } from './manifest.ts';
import { type ValidatorSecrets, writeKeyFiles } from './validator-keys.ts';

function derive(seed: string, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', fromHex(seed), 'squad-testnet:1', purpose, 32));
}

export function secretsOf(manifest: Manifest, name: string): ValidatorSecrets {
  return { blsSeed: derive(manifest.seed, `${name}/bls`), nodeSeed: derive(manifest.seed, `${name}/node`) };
}

/** Writes the key files of a process where they are missing. */
export async function ensureKeyFiles(manifest: Manifest, name: string, paths: ProcessPaths): Promise<void> {
  const files = [paths.keystorePath, paths.passwordPath, paths.nodeKeyPath];
  if (files.every((path) => existsSync(path))) return;
  await mkdir(paths.folder, { recursive: true, mode: 0o700 });
  // All or none: a half-written set from an interrupted first start is made anew, with the same keys.
  for (const path of files) await rm(path, { force: true });
  const password = toHex(derive(manifest.seed, `${name}/password`)).slice(2);
  await writeFile(paths.passwordPath, `${password}\n`, { mode: 0o600, flush: true });
  await writeKeyFiles(paths, secretsOf(manifest, name), { name, password, strength: 'pbkdf2-light-for-testnets' });
}
