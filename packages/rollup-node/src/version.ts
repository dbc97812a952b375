/** The version, from this package's package.json: one level up from the sources, two from the compiled files. */

import { existsSync, readFileSync } from 'node:fs';

export function readVersion(): string {
  for (const candidate of ['../package.json', '../../package.json']) {
    const url = new URL(candidate, import.meta.url);
    if (!existsSync(url)) continue;
    const { name, version } = JSON.parse(readFileSync(url, 'utf8')) as { name?: string; version?: string };
    if (name === '@squad/rollup-node' && version !== undefined) return version;
  }
  return 'unknown';
}
