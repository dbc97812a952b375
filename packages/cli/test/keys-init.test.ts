/** From keys to a genesis file, as the operators of a new network go. */

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkPossession, checkSchedulePossession, nobleBls } from '@squad/crypto';
import { parseGenesis, parseValidatorSchedule, toHex } from '@squad/types';
import { beforeAll, describe, expect, it } from 'vitest';
import { squad, temporaryDirectory } from './support.ts';

async function makeKeys(folder: string, name: string, ...more: string[]): Promise<void> {
  const { code, stderr } = await squad('keys', 'new', '--name', name, '--dir', join(folder, name), ...more);
  expect(stderr).toBe('');
  expect(code).toBe(0);
}

describe('squad keys', () => {
  it('makes keys that it can show again, secret ones for their owner only', async () => {
    const folder = temporaryDirectory();
    await makeKeys(folder, 'alice', '--address', '/ip4/10.0.0.1/tcp/9645', '--weight', '3');
    for (const file of ['bls-keystore.json', 'bls-password.txt', 'node-key.json']) {
      expect(statSync(join(folder, 'alice', file)).mode & 0o077).toBe(0);
    }
    const { code, stdout } = await squad('keys', 'show', '--dir', join(folder, 'alice'), '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      name: 'alice',
      weight: 3,
      addresses: ['/ip4/10.0.0.1/tcp/9645'],
      keystoreOpened: true,
    });
    const secret = JSON.parse(readFileSync(join(folder, 'alice', 'node-key.json'), 'utf8')).seed as string;
    expect(stdout).not.toContain(secret.slice(2));
  });

  it('never overwrites a key', async () => {
    const folder = temporaryDirectory();
    await makeKeys(folder, 'alice');
    const before = readFileSync(join(folder, 'alice', 'bls-keystore.json'), 'utf8');
    const { code, stderr } = await squad('keys', 'new', '--name', 'alice', '--dir', join(folder, 'alice'));
    expect(code).toBe(1);
    expect(stderr).toContain('never overwritten');
    expect(readFileSync(join(folder, 'alice', 'bls-keystore.json'), 'utf8')).toBe(before);
  });

  it('uses a given password and says when it is the wrong one', async () => {
    const folder = temporaryDirectory();
    const password = join(folder, 'password.txt');
    writeFileSync(password, 'correct horse\n');
    await makeKeys(folder, 'alice', '--password-file', password);
    expect(existsSync(join(folder, 'alice', 'bls-password.txt'))).toBe(false);
    writeFileSync(password, 'wrong horse\n');
    const { code, stderr } = await squad('keys', 'show', '--dir', join(folder, 'alice'), '--password-file', password);
    expect(code).toBe(1);
    expect(stderr).toMatch(/does not open with this password/);
  });

  it('sees keys of two validators in one folder', async () => {
    const folder = temporaryDirectory();
    await makeKeys(folder, 'alice');
    await makeKeys(folder, 'bob');
    writeFileSync(join(folder, 'alice', 'node-key.json'), readFileSync(join(folder, 'bob', 'node-key.json')));
    const { code, stderr } = await squad('keys', 'show', '--dir', join(folder, 'alice'));
    expect(code).toBe(1);
    expect(stderr).toContain('holds another key than');
  });
});

describe('squad init', () => {
  let folder: string;
  let files: string[];
  // Four keystores at full strength take seconds, more on a busy machine.
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'squad-init-'));
    files = ['alice', 'bob', 'carol', 'dave'].map((name) => join(folder, name, 'validator.json'));
    for (const name of ['alice', 'bob', 'carol', 'dave']) await makeKeys(folder, name);
    return () => rmSync(folder, { recursive: true, force: true });
  }, 120_000);

  const initialize = (output: string, ...more: string[]) =>
    squad('init', '--name', 'pilot', '--rollup', '901,902:opaque', '--output', output, ...more);

  it('writes a genesis file that nodes accept', async () => {
    const output = join(temporaryDirectory(), 'genesis.json');
    const { code, stdout } = await initialize(output, ...files.flatMap((file) => ['--validator', file]));
    expect(code).toBe(0);
    const genesis = parseGenesis(JSON.parse(readFileSync(output, 'utf8')));
    if (!genesis.ok) throw genesis.error;
    expect(stdout).toContain(toHex(genesis.value.networkId));
    expect(stdout).toContain('of which 1 may be faulty');
    expect(genesis.value.file.rollups).toEqual([
      { rollupId: 901, kind: 'evm' },
      { rollupId: 902, kind: 'opaque' },
    ]);
    expect(checkPossession(genesis.value, nobleBls).ok).toBe(true);
    const again = await initialize(output, '--validator', files.join(','));
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('never overwritten');
  });

  it('takes a rollup’s parameters, and refuses one that there is not', async () => {
    const output = join(temporaryDirectory(), 'genesis.json');
    const init = (rollup: string) =>
      squad('init', '--name', 'pilot', '--validator', files[0]!, '--output', output, '--rollup', rollup);
    const unknown = await init('901:evm:maxBlockBytes=7');
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('maxBlockBytes')]);
    for (const twice of ['901:opaque:rollupId=902', '901:evm:kind=1', '901:evm:minFeePerGas=1:minFeePerGas=2']) {
      const { code, stderr } = await init(twice);
      expect([code, stderr]).toEqual([1, expect.stringContaining('says twice')]);
    }
    expect(
      (await init('901:evm:minFeePerGas=1000:maxBytesPerSecond=50000,902:opaque:maxTransactionBytes=64')).code,
    ).toBe(0);
    const genesis = parseGenesis(JSON.parse(readFileSync(output, 'utf8')));
    expect(genesis.ok && genesis.value.file.rollups).toEqual([
      { rollupId: 901, kind: 'evm', minFeePerGas: 1000, maxBytesPerSecond: 50_000 },
      { rollupId: 902, kind: 'opaque', maxTransactionBytes: 64 },
    ]);
  });

  it('takes the L1 that the network follows', async () => {
    const output = join(temporaryDirectory(), 'genesis.json');
    const hash = `0x${'ab'.repeat(32)}`;
    const wrong = await initialize(output, '--validator', files[0]!, '--l1', '1:20000000');
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('CHAIN_ID:NUMBER:HASH')]);
    const l1 = ['--l1', `1:20000000:${hash}`, '--l1-confirmations', '32'];
    expect((await initialize(output, '--validator', files[0]!, ...l1)).code).toBe(0);
    const genesis = parseGenesis(JSON.parse(readFileSync(output, 'utf8')));
    const expected = { chainId: 1, anchor: { number: 20_000_000, hash }, confirmations: 32 };
    expect(genesis.ok && genesis.value.file.l1).toEqual(expected);
  });

  it('writes a schedule of later validators that nodes accept, and adds to one', async () => {
    const file = join(temporaryDirectory(), 'validator-schedule.json');
    const schedule = (epoch: number, ...of: string[]) =>
      squad('schedule', '--from-epoch', String(epoch), '--validator', of.join(','), '--file', file);
    const { code, stdout } = await schedule(5, files[1]!, files[2]!);
    expect(code).toBe(0);
    expect((await schedule(3, files[0]!)).code).toBe(0);
    expect((await schedule(5, files[3]!, files[2]!)).code).toBe(0);
    const written = parseValidatorSchedule(JSON.parse(readFileSync(file, 'utf8')));
    if (!written.ok) throw written.error;
    const names = written.value.map(({ fromEpoch, validators }) => [fromEpoch, ...validators.map(({ name }) => name)]);
    expect(names).toEqual([
      [3, 'alice'],
      [5, 'dave', 'carol'],
    ]);
    expect(checkSchedulePossession(written.value, nobleBls).ok).toBe(true);
    expect(stdout).toMatch(/set hash {4}0x[0-9a-f]{64}/);
    const twice = await schedule(6, files[0]!, files[0]!);
    expect(twice.code).toBe(1);
    expect(twice.stderr).toContain('is already that of');
    writeFileSync(file, '{');
    expect((await schedule(7, files[0]!)).stderr).toContain('cannot be read');
  });

  it('refuses a stolen key: the proof of possession is another validator’s', async () => {
    const stolen = JSON.parse(readFileSync(files[0]!, 'utf8')) as Record<string, unknown>;
    const other = JSON.parse(readFileSync(files[1]!, 'utf8')) as Record<string, unknown>;
    const path = join(temporaryDirectory(), 'mallory.json');
    writeFileSync(path, JSON.stringify({ ...stolen, proofOfPossession: other.proofOfPossession }));
    const { code, stderr } = await initialize(join(temporaryDirectory(), 'g.json'), '--validator', path);
    expect(code).toBe(1);
    expect(stderr).toContain('does not prove possession');
  });

  it('refuses the same validator twice', async () => {
    const { code, stderr } = await initialize(
      join(temporaryDirectory(), 'g.json'),
      '--validator',
      `${files[0]},${files[0]}`,
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/appears twice|is already that of/);
  });
});
