/** Validator keys at rest: EIP-2335 keystores (version 4), as Ethereum's tools make and read them. */

import { randomBytes } from 'node:crypto';
import { create, decrypt, type IKeystore, isValidKeystore, schemaValidationErrors } from '@chainsafe/bls-keystore';
import { equalBytes, fromHex, isHex, SquadError } from '@squad/types';
import { BLS_PUBLIC_KEY_BYTES } from '../bls.ts';
import { blstBls } from '../blst-bls.ts';
import { readSecretFile, writeSecretFile } from './secret-file.ts';

export type Keystore = IKeystore;

/**
 * How hard a password is to guess. `scrypt`: for real hosts, about a second and 256 MiB, EIP-2335's parameters.
 * `pbkdf2-light-for-testnets`: 1,024 rounds, a millisecond; a weak password can be guessed, so for throw-away keys only.
 */
export type KeystoreStrength = 'scrypt' | 'pbkdf2-light-for-testnets';

export const KEYSTORE_VERSION = 4;
/** Bounds on what a keystore may ask of this machine; EIP-2335's own are n = 2^18, r = 8, p = 1 and c = 2^18. */
export const MAX_KEYSTORE_SCRYPT_N = 1 << 20;
export const MAX_KEYSTORE_SCRYPT_R_TIMES_P = 16;
export const MAX_KEYSTORE_PBKDF2_ROUNDS = 1 << 23;

/** EIP-2335's: half of it is the cipher's key, half the checksum's. A longer one would be work and memory without end. */
const DERIVED_KEY_BYTES = 32;
const LIGHT_ROUNDS = 1024;
/** EIP-2334's path of a validator's signing key; a key that was not derived has an empty one. */
const NO_PATH = '';

export interface KeystoreOptions {
  /** Default: `scrypt`. */
  readonly strength?: KeystoreStrength;
  readonly description?: string;
  /** EIP-2334 derivation path; default: empty, not derived. */
  readonly path?: string;
}

/** Throws `KEYSTORE_PASSWORD_EMPTY`, `BLS_SECRET_KEY_INVALID`. */
export async function encryptKeystore(
  secretKey: Uint8Array,
  password: string,
  options: KeystoreOptions = {},
): Promise<Keystore> {
  if (password.length === 0) {
    throw new SquadError('KEYSTORE_PASSWORD_EMPTY', 'the keystore password is empty', 'Give a password of your own.');
  }
  const { strength = 'scrypt', description = null, path = NO_PATH } = options;
  return create(password, secretKey, blstBls.publicKeyOf(secretKey), path, description, keyDerivation(strength));
}

/**
 * The 32-byte secret key. `keystore` is the parsed JSON of the file. Throws `KEYSTORE_INVALID`, `KEYSTORE_VERSION`,
 * `KEYSTORE_TOO_COSTLY`, `KEYSTORE_PASSWORD_WRONG`. (EIP-2335's checksum cannot tell a wrong password from a damaged
 * ciphertext, so that last message names both.)
 */
export async function decryptKeystore(keystore: unknown, password: string): Promise<Uint8Array> {
  const checked = checkKeystore(keystore);
  let secretKey: Uint8Array;
  try {
    secretKey = new Uint8Array(await decrypt(checked, password));
  } catch (error) {
    if ((error as Error).message === 'Invalid password') throw wrongPassword();
    throw invalid((error as Error).message, error);
  }
  let publicKey: Uint8Array;
  try {
    publicKey = blstBls.publicKeyOf(secretKey);
  } catch (error) {
    throw invalid('what it holds is not a BLS secret key', error);
  }
  if (!equalBytes(publicKey, fromHex(`0x${checked.pubkey}`))) {
    throw invalid('field pubkey does not belong to the secret key inside');
  }
  return secretKey;
}

export async function writeKeystoreFile(path: string, keystore: Keystore): Promise<void> {
  await writeSecretFile(path, `${JSON.stringify(keystore, null, 2)}\n`);
}

/** As `decryptKeystore`, and what `readSecretFile` throws. */
export async function readKeystoreFile(path: string, password: string): Promise<Uint8Array> {
  return decryptKeystore(await readSecretFile(path), password);
}

function keyDerivation(strength: KeystoreStrength): Parameters<typeof create>[5] {
  const salt = randomBytes(32).toString('hex');
  return strength === 'scrypt'
    ? { function: 'scrypt', params: { dklen: DERIVED_KEY_BYTES, n: 1 << 18, p: 1, r: 8, salt } }
    : { function: 'pbkdf2', params: { dklen: DERIVED_KEY_BYTES, c: LIGHT_ROUNDS, prf: 'hmac-sha256', salt } };
}

/** All that is checked before any work is done with the password. Throws as `decryptKeystore`. */
export function checkKeystore(keystore: unknown): Keystore {
  const version =
    typeof keystore === 'object' && keystore !== null ? (keystore as { version?: unknown }).version : undefined;
  if (typeof version === 'number' && version !== KEYSTORE_VERSION) {
    throw new SquadError(
      'KEYSTORE_VERSION',
      `the keystore has version ${version}, only version ${KEYSTORE_VERSION} (EIP-2335) is read`,
      'Export the key again as an EIP-2335 keystore. (Version 3 is the format of Ethereum account keys, not of BLS keys.)',
      { version },
    );
  }
  if (!isValidKeystore(keystore)) {
    const fault = schemaValidationErrors(keystore)?.[0];
    throw invalid(`${fault?.instancePath || 'the whole file'}: ${fault?.message}`);
  }
  if (!isHex(`0x${keystore.pubkey}`, BLS_PUBLIC_KEY_BYTES))
    throw invalid(`field pubkey is not ${BLS_PUBLIC_KEY_BYTES} bytes of hex`);
  const { dklen } = keystore.crypto.kdf.params;
  if (dklen !== DERIVED_KEY_BYTES) throw invalid(`field dklen is ${dklen}, not ${DERIVED_KEY_BYTES}`);
  checkCost(keystore.crypto.kdf);
  return keystore;
}

/** A keystore may come from elsewhere, and names how much work reading it costs. */
function checkCost(kdf: Keystore['crypto']['kdf']): void {
  const fits =
    kdf.function === 'scrypt'
      ? kdf.params.n <= MAX_KEYSTORE_SCRYPT_N && kdf.params.r * kdf.params.p <= MAX_KEYSTORE_SCRYPT_R_TIMES_P
      : kdf.params.c <= MAX_KEYSTORE_PBKDF2_ROUNDS;
  if (fits) return;
  throw new SquadError(
    'KEYSTORE_TOO_COSTLY',
    `the keystore's ${kdf.function} parameters ${JSON.stringify({ ...kdf.params, salt: undefined })} are beyond the limits: n ${MAX_KEYSTORE_SCRYPT_N}, r times p ${MAX_KEYSTORE_SCRYPT_R_TIMES_P}, c ${MAX_KEYSTORE_PBKDF2_ROUNDS}`,
    'Export the key again with the parameters of EIP-2335.',
  );
}

function wrongPassword(): SquadError {
  return new SquadError(
    'KEYSTORE_PASSWORD_WRONG',
    'the keystore does not open with this password (or its ciphertext is damaged)',
    'Check the password file: a line break at its end or another keyboard layout is the usual cause.',
  );
}

function invalid(reason: string, cause?: unknown): SquadError {
  return new SquadError(
    'KEYSTORE_INVALID',
    `the keystore is not a valid EIP-2335 keystore: ${reason}`,
    'Restore the file from its backup; the path may also name the wrong file.',
    {},
    cause,
  );
}
