/** `squad rollup-genesis`: the genesis file of an execution client, made from a rollup file. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { squad, temporaryDirectory } from './support.ts';

const ROLLUP = {
  version: 1,
  rollupId: 901,
  name: 'my-rollup',
  executor: 'evm',
  genesisTimeMs: 1_767_225_600_000,
  ethereumBlocks: true,
  alloc: { '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266': { balance: '1000000000000000000000' } },
};

function rollupFile(changes: object = {}): string {
  const path = join(temporaryDirectory(), 'rollup.json');
  writeFileSync(path, JSON.stringify({ ...ROLLUP, ...changes }));
  return path;
}

it('prints the genesis, and tells the hash of block 0', async () => {
  const { code, stdout, stderr } = await squad('rollup-genesis', rollupFile());
  expect(code).toBe(0);
  // As geth 1.16.9 computed it from this file.
  expect(stderr).toContain('0xdcd10c16d524b57e5bfd20cf452a087fd44fc0e8c3577843830f1f411a620f16');
  const { config, alloc, timestamp } = JSON.parse(stdout);
  expect(config).toMatchObject({ chainId: 901, pragueTime: 0 });
  expect(config.osakaTime).toBeUndefined();
  expect(Number(timestamp)).toBe(1_767_225_600);
  expect(Object.keys(alloc)).toHaveLength(1 + 4);
});

it('names the fork osaka from genesis on', async () => {
  const { stdout } = await squad('rollup-genesis', rollupFile({ hardfork: 'osaka' }));
  expect(JSON.parse(stdout).config).toMatchObject({ osakaTime: 0, blobSchedule: { osaka: { max: 9 } } });
});

it('refuses a rollup that no Ethereum client could follow, and a file that is none', async () => {
  const refused = await squad('rollup-genesis', rollupFile({ ethereumBlocks: false }));
  expect([refused.code, refused.stdout]).toEqual([1, '']);
  expect(refused.stderr).toContain('"ethereumBlocks": true');
  const missing = await squad('rollup-genesis', join(temporaryDirectory(), 'none.json'));
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain('cannot be read');
});
