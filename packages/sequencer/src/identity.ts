/** Who this node is: reads the genesis file and the keys that the options name, and finds its place in the set. */

import { readFile } from 'node:fs/promises';
import type { NodeKey } from '@squad/crypto';
import { blstBls, readKeystoreFile, readNodeKeyFile } from '@squad/crypto/node';
import { equalBytes, type Genesis, SquadError, type ValidatorIndex } from '@squad/types';
import { readGenesis } from './genesis-file.ts';
import type { SequencerOptions } from './options.ts';

export interface Identity {
  readonly genesis: Genesis;
  readonly nodeKey: NodeKey;
  /** Position in the set of epoch 0; undefined for a node without a BLS key, which only follows. */
  readonly self: ValidatorIndex | undefined;
  readonly blsSecretKey: Uint8Array | undefined;
}

export async function readIdentity(options: SequencerOptions): Promise<Identity> {
  const genesis = await readGenesis(options.genesis, options.dataDirectory);
  const nodeKey = await readNodeKeyFile(options.nodeKey);
  if (options.keystore === undefined) return { genesis, nodeKey, self: undefined, blsSecretKey: undefined };
  const blsSecretKey = await readKeystoreFile(options.keystore, await readPassword(options.keystorePasswordFile));
  const self = placeInSet(genesis, blstBls.publicKeyOf(blsSecretKey), nodeKey.publicKey);
  return { genesis, nodeKey, self, blsSecretKey };
}

async function readPassword(path: string | undefined): Promise<string> {
  const remedy =
    'Write the keystore’s password into a file that only you can read, and name it with --keystore-password-file.';
  if (path === undefined)
    throw new SquadError('PASSWORD_MISSING', 'a keystore was given, and no password for it', remedy);
  try {
    return (await readFile(path, 'utf8')).split(/\r?\n/, 1)[0]!;
  } catch (cause) {
    throw new SquadError('PASSWORD_UNREADABLE', `the password file ${path} cannot be read`, remedy, { path }, cause);
  }
}

function placeInSet(genesis: Genesis, blsPublicKey: Uint8Array, nodePublicKey: Uint8Array): ValidatorIndex {
  const { validators } = genesis.validatorSet;
  const self = validators.findIndex((validator) => equalBytes(validator.blsPublicKey, blsPublicKey));
  if (self === -1) {
    throw new SquadError(
      'NOT_A_VALIDATOR',
      'the keystore’s BLS key belongs to no validator of the genesis file',
      'Use the keystore that was made for this network, or leave --keystore out to follow without voting.',
    );
  }
  if (!equalBytes(validators[self]!.nodePublicKey, nodePublicKey)) {
    throw new SquadError(
      'NODE_KEY_MISMATCH',
      `the node key is not the one that the genesis file has for validator ${self} (${genesis.file.validators[self]!.name})`,
      'Use the node key that was made together with this keystore: --node-key.',
    );
  }
  return self;
}
