/** A validator's keys as files, and its public data with a proof of possession, as the genesis file holds it. */

import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  blstBls,
  createNodeKey,
  encryptKeystore,
  type KeystoreStrength,
  writeKeystoreFile,
  writeNodeKeyFile,
} from '@squad/crypto/node';
import { type GenesisValidator, toHex } from '@squad/types';

export interface ValidatorKeyFiles {
  readonly keystorePath: string;
  readonly nodeKeyPath: string;
}

export interface ValidatorSecrets {
  /** At least 32 random bytes each. */
  readonly blsSeed: Uint8Array;
  readonly nodeSeed: Uint8Array;
}

export interface ValidatorDescription {
  readonly name: string;
  readonly weight: number;
  /** libp2p multiaddrs without /p2p. */
  readonly addresses: readonly string[];
}

/** What everyone may know of a validator. Making the proof takes some 30 ms. */
export function publicDataOf(secrets: ValidatorSecrets, description: ValidatorDescription): GenesisValidator {
  const secretKey = blstBls.secretKeyFromSeed(secrets.blsSeed);
  return {
    name: description.name,
    blsPublicKey: toHex(blstBls.publicKeyOf(secretKey)),
    proofOfPossession: toHex(blstBls.provePossession(secretKey)),
    nodePublicKey: toHex(createNodeKey(secrets.nodeSeed).publicKey),
    weight: description.weight,
    addresses: [...description.addresses],
  };
}

/** Writes both key files, never over others. Throws what `writeSecretFile` throws. */
export async function writeKeyFiles(
  files: ValidatorKeyFiles,
  secrets: ValidatorSecrets,
  options: { readonly name: string; readonly password: string; readonly strength: KeystoreStrength },
): Promise<void> {
  const secretKey = blstBls.secretKeyFromSeed(secrets.blsSeed);
  const keystore = await encryptKeystore(secretKey, options.password, {
    strength: options.strength,
    description: `SQUAD validator ${options.name}`,
  });
  await mkdir(dirname(files.keystorePath), { recursive: true, mode: 0o700 });
  await mkdir(dirname(files.nodeKeyPath), { recursive: true, mode: 0o700 });
  await writeKeystoreFile(files.keystorePath, keystore);
  await writeNodeKeyFile(files.nodeKeyPath, createNodeKey(secrets.nodeSeed));
}
