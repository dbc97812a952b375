/** A temporary folder for one test, deleted after it, and small programs that stand in for a node. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'squad-testnet-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Writes a program and returns the command that runs it. */
export function program(directory: string, source: string): string[] {
  const path = join(directory, `program-${Math.random().toString(36).slice(2)}.mjs`);
  writeFileSync(path, source);
  return [process.execPath, path];
}
