/** The testnet folder: made, opened again, refused, deleted. */

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SquadError } from '@squad/types';
import { describe, expect, it } from 'vitest';
import { pathsOf } from '../src/layout.ts';
import { lockDirectory } from '../src/lock.ts';
import { MAX_TESTNET_ROLLUPS, openManifest, resetDirectory } from '../src/manifest.ts';
import { temporaryDirectory } from './support.ts';

async function refusal(work: Promise<unknown>): Promise<SquadError> {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(SquadError);
  expect((error as SquadError).remedy.length).toBeGreaterThan(10);
  return error as SquadError;
}

describe('openManifest', () => {
  it('makes a testnet once and finds the same one again', async () => {
    const directory = join(temporaryDirectory(), 'new');
    const made = await openManifest(directory, { sequencers: 4, rollups: 2 });
    expect(made.created).toBe(true);
    const found = await openManifest(directory, {});
    expect(found).toEqual({ created: false, manifest: made.manifest });
  });

  it('keeps the L1 that it was made with, and follows none that it was not', async () => {
    const parent = temporaryDirectory();
    const l1 = { chainId: 1337, anchor: { number: 3, hash: `0x${'ab'.repeat(32)}` }, confirmations: 2 };
    const made = await openManifest(join(parent, 'with'), { l1: async () => l1 });
    expect(made.manifest.l1).toEqual(l1);
    const other = async () => ({ ...l1, chainId: 1 });
    expect((await openManifest(join(parent, 'with'), { l1: other })).manifest.l1).toEqual(l1);
    await openManifest(join(parent, 'without'), {});
    const error = await refusal(openManifest(join(parent, 'without'), { l1: other }));
    expect([error.code, error.message]).toEqual(['TESTNET_DIFFERS', expect.stringContaining('--l1-rpc')]);
  });

  it('draws another seed for each testnet', async () => {
    const parent = temporaryDirectory();
    const [a, b] = await Promise.all(['a', 'b'].map((name) => openManifest(join(parent, name), {})));
    expect(a!.manifest.seed).not.toBe(b!.manifest.seed);
  });

  it.each([0, 2, 3, 17, 1.5, Number.NaN, -4])('refuses %d sequencers', async (sequencers) => {
    const error = await refusal(openManifest(join(temporaryDirectory(), 'x'), { sequencers }));
    expect(error.code).toBe('TESTNET_SIZE');
  });

  it.each([0, MAX_TESTNET_ROLLUPS + 1])('refuses %d rollups', async (rollups) => {
    const error = await refusal(openManifest(join(temporaryDirectory(), 'x'), { rollups }));
    expect(error.code).toBe('TESTNET_SIZE');
  });

  it('refuses another count than the folder has, and names both', async () => {
    const directory = temporaryDirectory();
    await openManifest(directory, { sequencers: 4 });
    const error = await refusal(openManifest(directory, { sequencers: 7 }));
    expect(error.code).toBe('TESTNET_DIFFERS');
    expect(error.message).toContain('--nodes 7');
    expect(error.remedy).toMatch(/--nodes 4.*--reset/);
  });

  it('keeps its block time, and refuses another', async () => {
    const directory = temporaryDirectory();
    expect((await openManifest(directory, { blockTimeMs: 250 })).manifest.blockTimeMs).toBe(250);
    expect((await openManifest(directory, {})).manifest.blockTimeMs).toBe(250);
    const error = await refusal(openManifest(directory, { blockTimeMs: 1_000 }));
    expect(error.code).toBe('TESTNET_DIFFERS');
    expect(error.message).toContain('--block-time 1000');
  });

  it('refuses a folder that holds something else', async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'thesis.txt'), 'years of work');
    expect((await refusal(openManifest(directory, {}))).code).toBe('TESTNET_FOLDER_FOREIGN');
  });

  it('refuses a file in place of a folder, and a folder that cannot be made', async () => {
    const file = join(temporaryDirectory(), 'file');
    writeFileSync(file, '');
    const places = [file, join(file, 'below')];
    // Where a parent exists and the system still says that it does not.
    if (existsSync('/proc/self')) places.push('/proc/nothing');
    for (const place of places) {
      const error = await refusal(openManifest(place, {}));
      expect(error.code).toBe('FOLDER_UNUSABLE');
      expect(error.message).toContain(place);
    }
  });

  it.each(['', '{', 'null', '{"kind":"other"}', '{"kind":"squad-testnet","version":9}'])(
    'refuses a manifest that reads %j',
    async (text) => {
      const directory = temporaryDirectory();
      writeFileSync(pathsOf(directory).manifestPath, text);
      const error = await refusal(openManifest(directory, {}));
      expect(error.code).toBe('TESTNET_FOLDER_CORRUPT');
      expect(error.message).toContain('manifest.json');
    },
  );
});

describe('resetDirectory', () => {
  it('deletes a testnet and leaves what it did not make', async () => {
    const directory = temporaryDirectory();
    await openManifest(directory, { sequencers: 4 });
    mkdirSync(pathsOf(directory).process('sequencer-3').dataDirectory, { recursive: true });
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    await resetDirectory(directory);
    expect(readdirSync(directory)).toEqual(['notes.txt']);
    expect(readFileSync(join(directory, 'notes.txt'), 'utf8')).toBe('mine');
  });

  it('begins anew with other keys, and does not mind no folder at all', async () => {
    const directory = join(temporaryDirectory(), 'net');
    await resetDirectory(directory);
    const { manifest } = await openManifest(directory, {});
    await resetDirectory(directory);
    expect(readdirSync(directory)).toEqual([]);
    expect((await openManifest(directory, { sequencers: 7 })).manifest.seed).not.toBe(manifest.seed);
  });

  it('refuses to delete a folder that is no testnet', async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'thesis.txt'), 'years of work');
    expect((await refusal(resetDirectory(directory))).code).toBe('TESTNET_FOLDER_FOREIGN');
    expect(existsSync(join(directory, 'thesis.txt'))).toBe(true);
  });

  it('refuses a folder whose manifest cannot be read', async () => {
    const directory = temporaryDirectory();
    writeFileSync(pathsOf(directory).manifestPath, '{}');
    expect((await refusal(resetDirectory(directory))).code).toBe('TESTNET_FOLDER_CORRUPT');
  });
});

describe('lockDirectory', () => {
  it('is held once at a time', () => {
    const directory = temporaryDirectory();
    const lock = lockDirectory(directory);
    expect(() => lockDirectory(directory)).toThrowError(expect.objectContaining({ code: 'TESTNET_RUNNING' }));
    lock.release();
    lockDirectory(directory).release();
    expect(readdirSync(directory)).toEqual([]);
  });

  it.each(['', '{"pid":', '{"pid":2147483646,"startedAt":"1"}', `{"pid":${process.pid},"startedAt":"another life"}`])(
    'takes over a lock that reads %j',
    (text) => {
      const directory = temporaryDirectory();
      writeFileSync(pathsOf(directory).lockPath, text);
      lockDirectory(directory).release();
    },
  );
});
