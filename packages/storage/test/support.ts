/** What the tests of storage share: folders that go away, and short ways to say bytes, names and expected errors. */

import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Hex, SquadError } from '@squad/types';
import { afterEach, expect } from 'vitest';
import type { LogRecord } from '../src/index.ts';

const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'squad-storage-'));
  folders.push(folder);
  return folder;
}

export async function copyOfFolder(folder: string): Promise<string> {
  const copy = await temporaryFolder();
  await cp(folder, copy, { recursive: true });
  return copy;
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export function record(kind: number, ...bytes: number[]): LogRecord {
  return { kind, payload: Uint8Array.from(bytes) };
}

export function sized(kind: number, byteLength: number): LogRecord {
  return { kind, payload: new Uint8Array(byteLength).map((_, i) => (i * 31 + kind) & 0xff) };
}

/** A 32-byte name that differs for each group and number. */
export function name(group: number, number: number): Hex {
  return `0x${group.toString(16).padStart(2, '0')}${number.toString(16).padStart(62, '0')}`;
}

/** Asserts that it fails with a SquadError of the code that says what to do, and returns it. */
export async function rejection(promise: Promise<unknown>, ...codes: string[]): Promise<SquadError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SquadError);
  const squadError = error as SquadError;
  expect(codes).toContain(squadError.code);
  expect(squadError.message.length).toBeGreaterThan(20);
  expect(squadError.remedy.length).toBeGreaterThan(10);
  return squadError;
}

export async function refusal(run: () => unknown, ...codes: string[]): Promise<SquadError> {
  return rejection(
    (async () => {
      await run();
    })(),
    ...codes,
  );
}
