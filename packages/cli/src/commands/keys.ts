/** `squad keys new` and `squad keys show`: a validator's keys, and the public data that goes into the genesis file. */

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nobleBls } from '@squad/crypto';
import { blstBls, MAX_SECRET_FILE_BYTES, readKeystoreFile, readNodeKeyFile, writeSecretFile } from '@squad/crypto/node';
import { defineOptions, readBoundedText } from '@squad/service';
import { makeDirectory, publicDataOf, writeKeyFiles } from '@squad/testnet';
import { fromHex, SquadError, toHex } from '@squad/types';
import type { Command } from 'commander';
import { z } from 'zod';
import { addOptions, readOptions } from '../options.ts';
import { readValidatorFile } from '../validator-file.ts';

const directory = {
  type: z.string().min(1),
  default: 'keys',
  env: 'SQUAD_KEYS_DIR',
  flag: '--dir',
  help: 'folder of the key files',
} as const;

const passwordFile = {
  type: z.string().min(1).optional(),
  env: 'SQUAD_KEYSTORE_PASSWORD_FILE',
  flag: '--password-file',
} as const;
const PASSWORD_FILE_HELP = 'file whose first line is the keystore password; without it';

const keysNewOptions = defineOptions({
  name: {
    type: z.string().min(1).max(64),
    env: 'SQUAD_KEYS_NAME',
    flag: '--name',
    help: 'name of the validator, as others will see it',
  },
  directory,
  passwordFile: { ...passwordFile, help: `${PASSWORD_FILE_HELP} one is drawn and written to bls-password.txt` },
  weight: {
    type: z.int().min(1).max(1_000_000),
    default: 1,
    env: 'SQUAD_KEYS_WEIGHT',
    flag: '--weight',
    help: 'voting weight',
  },
  addresses: {
    type: z.array(z.string().max(256).startsWith('/')).max(8),
    default: [],
    env: 'SQUAD_KEYS_ADDRESSES',
    flag: '--address',
    help: 'libp2p multiaddr where others reach this validator, such as /ip4/203.0.113.7/tcp/9645; may be repeated',
  },
});

const keysShowOptions = defineOptions({
  directory,
  passwordFile: { ...passwordFile, help: `${PASSWORD_FILE_HELP} bls-password.txt is used, if it is there` },
  json: { type: z.boolean(), default: false, env: 'SQUAD_KEYS_JSON', flag: '--json', help: 'print JSON' },
});

export function define(command: Command): void {
  const make = addOptions(
    command.command('new').description('make a BLS key (EIP-2335 keystore), a node key and validator.json'),
    keysNewOptions,
  );
  make
    .addHelpText('after', '\nExample:\n  $ squad keys new --name alice --dir alice --address /ip4/203.0.113.7/tcp/9645')
    .action(() => create(make));
  const display = addOptions(
    command.command('show').description('print the public keys, and check that the files fit together'),
    keysShowOptions,
  );
  display.addHelpText('after', '\nExample:\n  $ squad keys show --dir alice').action(() => show(display));
  command.addHelpText(
    'after',
    '\nExamples:\n  $ squad keys new --name alice --dir alice\n  $ squad keys show --dir alice',
  );
}

function pathsIn(folder: string) {
  return {
    keystorePath: join(folder, 'bls-keystore.json'),
    passwordPath: join(folder, 'bls-password.txt'),
    nodeKeyPath: join(folder, 'node-key.json'),
    validatorPath: join(folder, 'validator.json'),
  };
}

async function create(command: Command): Promise<void> {
  const {
    name,
    directory: folder,
    passwordFile: given,
    weight,
    addresses,
  } = readOptions(command, keysNewOptions).values;
  const paths = pathsIn(folder);
  for (const path of [paths.keystorePath, paths.nodeKeyPath, paths.validatorPath]) {
    if (existsSync(path)) throw exists(path);
  }
  await makeDirectory(folder, 0o700);
  const password = given === undefined ? randomBytes(24).toString('base64url') : await readPassword(given);
  const secrets = { blsSeed: randomBytes(32), nodeSeed: randomBytes(32) };
  if (given === undefined) await writeSecretFile(paths.passwordPath, `${password}\n`);
  await writeKeyFiles(paths, secrets, { name, password, strength: 'scrypt' });
  const validator = publicDataOf(secrets, { name, weight, addresses });
  await writeFile(paths.validatorPath, `${JSON.stringify(validator, null, 2)}\n`, { flag: 'wx' });
  process.stdout.write(
    [
      `BLS public key   ${validator.blsPublicKey}`,
      `node public key  ${validator.nodePublicKey}`,
      '',
      `${paths.keystorePath}  secret: signs votes; encrypted`,
      ...(given === undefined ? [`${paths.passwordPath}  secret: opens the keystore; keep it apart from it`] : []),
      `${paths.nodeKeyPath}  secret: signs batches, is the network identity`,
      `${paths.validatorPath}  public: give it to whoever runs \`squad init\``,
      '',
      'Back the secret files up now. Never run two nodes with the same keys.',
      '',
    ].join('\n'),
  );
}

async function show(command: Command): Promise<void> {
  const { directory: folder, passwordFile: given, json } = readOptions(command, keysShowOptions).values;
  const paths = pathsIn(folder);
  const validator = await readValidatorFile(paths.validatorPath);
  const nodeKey = await readNodeKeyFile(paths.nodeKeyPath);
  if (toHex(nodeKey.publicKey) !== validator.nodePublicKey.toLowerCase()) throw differs(paths.nodeKeyPath, folder);
  const passwordPath = given ?? paths.passwordPath;
  const opened = existsSync(passwordPath) || given !== undefined;
  if (opened) {
    const secretKey = await readKeystoreFile(paths.keystorePath, await readPassword(passwordPath));
    if (toHex(blstBls.publicKeyOf(secretKey)) !== validator.blsPublicKey.toLowerCase()) {
      throw differs(paths.keystorePath, folder);
    }
  }
  if (!nobleBls.verifyPossession(fromHex(validator.blsPublicKey), fromHex(validator.proofOfPossession))) {
    throw new SquadError(
      'VALIDATOR_FILE_INVALID',
      `${paths.validatorPath}: field proofOfPossession does not prove possession of blsPublicKey`,
      'Restore the file from its backup; it was changed after it was made.',
    );
  }
  if (json) {
    process.stdout.write(`${JSON.stringify({ ...validator, keystoreOpened: opened }, null, 2)}\n`);
    return;
  }
  process.stdout.write(
    [
      `name                 ${validator.name}`,
      `weight               ${validator.weight}`,
      `BLS public key       ${validator.blsPublicKey}`,
      `proof of possession  ${validator.proofOfPossession}`,
      `node public key      ${validator.nodePublicKey}`,
      `addresses            ${validator.addresses.join(', ') || '(none)'}`,
      `keystore             ${opened ? 'opens, and fits' : 'not opened: give --password-file to check it'}`,
      '',
    ].join('\n'),
  );
}

/** The first line, so that an editor's line break at the end does no harm. */
async function readPassword(path: string): Promise<string> {
  try {
    const text = await readBoundedText(path, MAX_SECRET_FILE_BYTES, 'MAX_SECRET_FILE_BYTES');
    return text.split(/\r?\n/, 1)[0]!;
  } catch (error) {
    throw new SquadError(
      'PASSWORD_FILE_UNREADABLE',
      `the password file ${path} cannot be read: ${(error as Error).message}`,
      'Check the path given with --password-file and its permissions.',
    );
  }
}

function exists(path: string): SquadError {
  return new SquadError(
    'SECRET_FILE_EXISTS',
    `${path} exists, and a key file is never overwritten`,
    'Choose another folder with --dir, or move the old files away if their keys are really not needed any more.',
  );
}

function differs(path: string, folder: string): SquadError {
  return new SquadError(
    'KEYS_DIFFER',
    `${path} holds another key than ${join(folder, 'validator.json')} says`,
    'The files come from different validators: restore all of them from one backup.',
  );
}
