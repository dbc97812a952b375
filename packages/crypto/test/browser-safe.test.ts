/** The '.' export must load in a browser: nothing that it reaches imports a Node builtin or a native module. */

import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { LruCache } from '../src/lru-cache.ts';

const ALLOWED = new Set(['@squad/types', '@noble/curves', '@noble/hashes']);

async function packagesReachedFrom(file: URL, seen = new Set<string>()): Promise<Set<string>> {
  const packages = new Set<string>();
  if (seen.has(file.href)) return packages;
  seen.add(file.href);
  for (const [, specifier] of (await readFile(file, 'utf8')).matchAll(/from '([^']+)'/g)) {
    if (specifier!.startsWith('.')) {
      for (const name of await packagesReachedFrom(new URL(specifier!, file), seen)) packages.add(name);
    } else {
      packages.add(
        specifier!
          .split('/')
          .slice(0, specifier!.startsWith('@') ? 2 : 1)
          .join('/'),
      );
    }
  }
  return packages;
}

describe('the browser side', () => {
  it('reaches pure packages only', async () => {
    const reached = await packagesReachedFrom(new URL('../src/index.ts', import.meta.url));
    expect([...reached].filter((name) => !ALLOWED.has(name))).toEqual([]);
    expect(reached.size).toBe(ALLOWED.size);
  });
});

describe('LruCache', () => {
  it('keeps at most its number of entries and forgets what was used longest ago', () => {
    const cache = new LruCache<string, number>(2);
    cache.set('a', 1);
    cache.set('b', 2);
    expect(cache.get('a')).toBe(1);
    cache.set('c', 3);
    expect([cache.get('a'), cache.get('b'), cache.get('c'), cache.size]).toEqual([1, undefined, 3, 2]);
  });
});
