/** `squad bundle send`: what it gives a sequencer, and what it says of files that hold no bundle. */

import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRpcServer, defineMethod, silentLogger } from '@squad/service';
import { MAX_BUNDLE_BATCHES } from '@squad/types';
import { expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { MAX_BUNDLE_FILE_BYTES } from '../src/commands/bundle.ts';
import { squad, temporaryDirectory } from './support.ts';

const member = { rollupId: 901, transaction: '0x0102' };

function fileOf(content: string): string {
  const path = join(temporaryDirectory(), 'bundle.json');
  writeFileSync(path, content);
  return path;
}

it('gives a sequencer what the file holds, and prints the hashes', async () => {
  const given: unknown[] = [];
  const server = await createRpcServer({
    host: '127.0.0.1',
    port: 0,
    info: { title: 'node', version: '0' },
    methods: [
      defineMethod({
        name: 'squad_sendBundle',
        summary: 'takes a bundle',
        params: { bundle: z.array(z.unknown()) },
        result: { name: 'hashes', description: 'hashes' },
        handler: ({ bundle }) => {
          given.push(...bundle);
          return bundle.map((_, i) => `0x${i}`);
        },
      }),
    ],
    logger: silentLogger,
  });
  onTestFinished(() => server.close());
  const bundle = Array.from({ length: MAX_BUNDLE_BATCHES }, (_, i) => ({ ...member, rollupId: 901 + i }));
  const { code, stdout } = await squad('bundle', 'send', fileOf(JSON.stringify(bundle)), '--rpc', server.url);
  expect(code).toBe(0);
  expect(stdout.trim().split('\n')).toHaveLength(MAX_BUNDLE_BATCHES);
  expect(given).toEqual(bundle);
});

it.each([
  ['no JSON', '{'],
  ['an empty list', '[]'],
  ['too many', JSON.stringify(Array.from({ length: MAX_BUNDLE_BATCHES + 1 }, () => member))],
  ['no hex', JSON.stringify([{ ...member, transaction: '0x1' }])],
  ['another field', JSON.stringify([{ ...member, nonce: 1 }])],
])('refuses a file with %s', async (_what, content) => {
  const { code, stderr } = await squad('bundle', 'send', fileOf(content));
  expect(code).toBe(1);
  expect(stderr).toContain('holds no bundle');
});

it('reads no more of a file than its limit', async () => {
  const path = fileOf('');
  truncateSync(path, MAX_BUNDLE_FILE_BYTES);
  expect((await squad('bundle', 'send', path)).stderr).not.toContain('MAX_BUNDLE_FILE_BYTES');
  truncateSync(path, MAX_BUNDLE_FILE_BYTES + 1);
  for (const tooLong of [path, '/dev/zero']) {
    const { code, stderr } = await squad('bundle', 'send', tooLong);
    expect(code).toBe(1);
    expect(stderr).toContain('MAX_BUNDLE_FILE_BYTES');
  }
});
