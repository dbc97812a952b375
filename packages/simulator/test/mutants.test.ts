/** Every mutant still fits the sources: what it looks for is there, once. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MUTANTS } from '../src/mutants/table.ts';

const packages = new URL('../../', import.meta.url);

describe('the mutants', () => {
  it('fit the sources', () => {
    for (const { name, edits } of MUTANTS) {
      for (const { file, search, replace } of edits) {
        const parts = readFileSync(new URL(file, packages), 'utf8').split(search);
        expect(parts.length - 1, `${name}: ${file}: ${search}`).toBe(1);
        expect(replace).not.toBe(search);
      }
    }
  });

  it('have names of their own, and are enough', () => {
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
    expect(MUTANTS.filter(({ equivalent }) => equivalent === undefined).length).toBeGreaterThanOrEqual(25);
  });
});
