/** Who this node is: reads the genesis file and the keys that the options name, and finds its place in validator sets. */

import type { NodeKey } from '@squad/crypto';
import { blstBls, MAX_SECRET_FILE_BYTES, readKeystoreFile, readNodeKeyFile } from '@squad/crypto/node';
import { readBoundedText } from '@squad/service';
import { equalBytes, fromHex, type Genesis, SquadError, type ValidatorSet } from '@squad/types';
import { readGenesis } from './genesis-file.ts';
import type { SequencerOptions } from './options.ts';
import type { ValidatorPlace } from './sequencer-parts.ts';
import type { ValidatorSetSource } from './validator-sets.ts';

export interface Identity {
  readonly genesis: Genesis;
  readonly nodeKey: NodeKey;
  /** This node's place in a validator set; undefined if its keys are not in it: it follows then. */
  readonly placeIn: (set: ValidatorSet) => ValidatorPlace | undefined;
}

export async function readIdentity(options: SequencerOptions): Promise<Identity> {
  const genesis = await readGenesis(options.genesis, options.dataDirectory);
  const nodeKey = await readNodeKeyFile(options.nodeKey);
  const keys: BlsKey[] = [];
  const { keystore, nextKeystore, keystorePasswordFile } = options;
  for (const path of [keystore, nextKeystore]) {
    if (path === undefined) continue;
    const secretKey = await readKeystoreFile(path, await readPassword(keystorePasswordFile));
    keys.push({ secretKey, publicKey: blstBls.publicKeyOf(secretKey) });
  }
  for (const { publicKey } of keys) checkNodeKey(genesis, publicKey, nodeKey.publicKey);
  return { genesis, nodeKey, placeIn: (set) => placeIn(set, keys, nodeKey.publicKey) };
}

interface BlsKey {
  readonly secretKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

function placeIn(
  { validators }: ValidatorSet,
  keys: readonly BlsKey[],
  nodePublicKey: Uint8Array,
): ValidatorPlace | undefined {
  const self = validators.findIndex((validator) => equalBytes(validator.nodePublicKey, nodePublicKey));
  const key = keys.find(({ publicKey }) => self >= 0 && equalBytes(publicKey, validators[self]!.blsPublicKey));
  return key && { self, blsSecretKey: key.secretKey };
}

async function readPassword(path: string | undefined): Promise<string> {
  const remedy =
    'Write the keystore’s password into a file that only you can read, and name it with --keystore-password-file.';
  if (path === undefined)
    throw new SquadError('PASSWORD_MISSING', 'a keystore was given, and no password for it', remedy);
  try {
    const text = await readBoundedText(path, MAX_SECRET_FILE_BYTES, 'MAX_SECRET_FILE_BYTES');
    return text.split(/\r?\n/, 1)[0]!;
  } catch (cause) {
    const message = `the password file ${path} cannot be read: ${(cause as Error).message}`;
    throw new SquadError('PASSWORD_UNREADABLE', message, remedy, { path }, cause);
  }
}

/** A keystore beside the wrong node key would make a validator that never votes. */
function checkNodeKey({ file }: Genesis, blsPublicKey: Uint8Array, nodePublicKey: Uint8Array): void {
  const self = file.validators.findIndex((validator) => equalBytes(fromHex(validator.blsPublicKey), blsPublicKey));
  if (self === -1 || equalBytes(fromHex(file.validators[self]!.nodePublicKey), nodePublicKey)) return;
  throw new SquadError(
    'NODE_KEY_MISMATCH',
    `the node key is not the one that the genesis file has for validator ${self} (${file.validators[self]!.name})`,
    'Use the node key that was made together with this keystore: --node-key.',
  );
}

/** Throws `NOT_A_VALIDATOR` if a keystore was given that no known set has use for. */
export function checkIsValidator(
  { keystore }: SequencerOptions,
  { genesis, placeIn }: Identity,
  validatorSets: ValidatorSetSource,
  present: ValidatorSet,
): void {
  if (keystore === undefined) return;
  const known = [genesis.validatorSet, present, ...validatorSets.laterSets()];
  if (known.some((set) => placeIn(set) !== undefined)) return;
  throw new SquadError(
    'NOT_A_VALIDATOR',
    'the keystore’s BLS key belongs to no validator of the genesis file, nor of a later validator set that is known here',
    'Use the keystore that was made for this network; name the file with the validator sets of later epochs with ' +
      '--validator-schedule; or leave --keystore out to follow without voting.',
  );
}
