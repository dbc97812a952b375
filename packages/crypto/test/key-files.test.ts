/** Keystores and key files on a real disk: round trips, EIP-2335's vectors, and errors that say what to do. */

import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromHex, toHex } from '@squad/types';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  blstBls,
  createNodeKey,
  decryptKeystore,
  encryptKeystore,
  MAX_KEYSTORE_SCRYPT_N,
  MAX_SECRET_FILE_BYTES,
  readKeystoreFile,
  readNodeKeyFile,
  writeKeystoreFile,
  writeNodeKeyFile,
} from '../src/node/index.ts';
import eip2335 from './vectors/eip-2335.json' with { type: 'json' };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'squad-keys-'));
});
afterAll(() => rm(folder, { recursive: true }));

const secretKey = blstBls.secretKeyFromSeed(new Uint8Array(32).fill(1));
const light = { strength: 'pbkdf2-light-for-testnets' } as const;
const code = (value: string) => expect.objectContaining({ code: value, remedy: expect.stringMatching(/\w/) });

describe('keystores', () => {
  it.each(eip2335.keystores)('opens EIP-2335’s $crypto.kdf.function vector', async (keystore) => {
    expect(toHex(await decryptKeystore(keystore, eip2335.password))).toBe(eip2335.secret);
  });

  it('encrypts with EIP-2335’s scrypt unless told otherwise', async () => {
    const keystore = await encryptKeystore(secretKey, 'correct horse');
    expect(keystore.crypto.kdf).toMatchObject({ function: 'scrypt', params: { n: 262144, r: 8, p: 1 } });
    expect(keystore.pubkey).toBe(toHex(blstBls.publicKeyOf(secretKey)).slice(2));
    expect(await decryptKeystore(keystore, 'correct horse')).toEqual(secretKey);
  });

  it('goes through a file that only its owner may read, and is never overwritten', async () => {
    const path = join(folder, 'keystore.json');
    await writeKeystoreFile(path, await encryptKeystore(secretKey, 'pw', light));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readKeystoreFile(path, 'pw')).toEqual(secretKey);
    const before = await readFile(path, 'utf8');
    const other = await encryptKeystore(blstBls.secretKeyFromSeed(new Uint8Array(32)), 'pw', light);
    await expect(writeKeystoreFile(path, other)).rejects.toThrow(code('SECRET_FILE_EXISTS'));
    expect(await readFile(path, 'utf8')).toBe(before);
  });

  it('gives each keystore a salt of its own', async () => {
    const [one, two] = await Promise.all([1, 2].map(() => encryptKeystore(secretKey, 'pw', light)));
    expect(one!.crypto.kdf.params.salt).not.toBe(two!.crypto.kdf.params.salt);
    expect(one!.crypto.cipher.message).not.toBe(two!.crypto.cipher.message);
  });

  it('says what is wrong', async () => {
    const keystore = await encryptKeystore(secretKey, 'pw', light);
    const changed = (change: (copy: typeof keystore) => void) => {
      const copy = structuredClone(keystore);
      change(copy);
      return copy;
    };
    const cases: readonly [string, unknown, string][] = [
      ['KEYSTORE_PASSWORD_WRONG', keystore, 'other'],
      ['KEYSTORE_VERSION', { ...keystore, version: 3 }, 'pw'],
      ['KEYSTORE_INVALID', { ...keystore, version: 'four' }, 'pw'],
      ['KEYSTORE_INVALID', { ...keystore, crypto: {} }, 'pw'],
      ['KEYSTORE_INVALID', [], 'pw'],
      ['KEYSTORE_INVALID', null, 'pw'],
      [
        'KEYSTORE_INVALID',
        { ...keystore, pubkey: keystore.pubkey.replace(/.$/, (digit) => (digit === '0' ? '1' : '0')) },
        'pw',
      ],
      ['KEYSTORE_INVALID', { ...keystore, pubkey: 'ab' }, 'pw'],
      ...[0, 31, 33, 2 ** 37].map((bytes): [string, unknown, string] => [
        'KEYSTORE_INVALID',
        changed((copy) => {
          copy.crypto.kdf.params.dklen = bytes;
        }),
        'pw',
      ]),
      [
        'KEYSTORE_TOO_COSTLY',
        changed((copy) => {
          const salt = copy.crypto.kdf.params.salt;
          copy.crypto.kdf = {
            function: 'scrypt',
            params: { dklen: 32, n: 2 * MAX_KEYSTORE_SCRYPT_N, p: 1, r: 8, salt },
            message: '',
          };
        }),
        'pw',
      ],
    ];
    for (const [expected, input, password] of cases) {
      await expect(decryptKeystore(input, password), expected).rejects.toThrow(code(expected));
    }
    await expect(encryptKeystore(secretKey, '')).rejects.toThrow(code('KEYSTORE_PASSWORD_EMPTY'));
    await expect(encryptKeystore(new Uint8Array(32), 'pw')).rejects.toThrow(code('BLS_SECRET_KEY_INVALID'));
  });
});

describe('node key files', () => {
  const key = createNodeKey(fromHex(`0x${'42'.repeat(32)}`));

  it('go through a file that only its owner may read', async () => {
    const path = join(folder, 'node-key.json');
    await writeNodeKeyFile(path, key);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const read = await readNodeKeyFile(path);
    expect([read.publicKey, read.secretKey]).toEqual([key.publicKey, key.secretKey]);
    expect(read.sign(key.publicKey)).toEqual(key.sign(key.publicKey));
    await expect(writeNodeKeyFile(path, key)).rejects.toThrow(code('SECRET_FILE_EXISTS'));
  });

  it('say what is wrong', async () => {
    const good = { version: 1, type: 'squad-node-key', publicKey: toHex(key.publicKey), seed: toHex(key.secretKey) };
    const cases: readonly [string, string, RegExp][] = [
      ['NODE_KEY_FILE_VERSION', JSON.stringify({ ...good, version: 2 }), /version 2.*version 1/],
      ['NODE_KEY_FILE_INVALID', JSON.stringify({ ...good, type: 'ssh' }), /field type/],
      ['NODE_KEY_FILE_INVALID', JSON.stringify({ ...good, seed: '0x42' }), /field seed/],
      ['NODE_KEY_FILE_INVALID', JSON.stringify({ ...good, publicKey: 7 }), /field publicKey/],
      ['NODE_KEY_FILE_INVALID', JSON.stringify({ ...good, publicKey: good.seed }), /does not belong/],
      ['NODE_KEY_FILE_INVALID', 'null', /not a JSON object/],
      ['SECRET_FILE_INVALID', '{', /not JSON/],
      ['SECRET_FILE_INVALID', ' '.repeat(MAX_SECRET_FILE_BYTES + 1), /more bytes than MAX_SECRET_FILE_BYTES = 16384/],
    ];
    for (const [index, [expected, content, message]] of cases.entries()) {
      const path = join(folder, `bad-${index}.json`);
      await writeFile(path, content);
      const error = await readNodeKeyFile(path).catch((cause: unknown) => cause as Error);
      expect(error).toEqual(code(expected));
      expect((error as Error).message).toMatch(message);
      expect((error as Error).message).toContain(path);
      expect((error as Error).message).not.toContain(good.seed.slice(2));
    }
    // At the limit it is read as a whole, and a device, which has no size, no further than to it.
    await writeFile(join(folder, 'full.json'), JSON.stringify(good).padEnd(MAX_SECRET_FILE_BYTES));
    expect((await readNodeKeyFile(join(folder, 'full.json'))).publicKey).toEqual(key.publicKey);
    await symlink('/dev/zero', join(folder, 'device.json'));
    await expect(readNodeKeyFile(join(folder, 'device.json'))).rejects.toThrow(
      `more bytes than MAX_SECRET_FILE_BYTES = ${MAX_SECRET_FILE_BYTES}`,
    );
    await expect(readNodeKeyFile(join(folder, 'none.json'))).rejects.toThrow(code('SECRET_FILE_UNREADABLE'));
    await expect(writeNodeKeyFile(join(folder, 'no', 'folder.json'), key)).rejects.toThrow(
      code('SECRET_FILE_UNWRITABLE'),
    );
  });
});
