/** The node key on disk: JSON `{version, type, publicKey, seed}`, mode 0600. It is not encrypted: a node must start unattended. */

import { equalBytes, fromHex, isHex, SquadError, toHex } from '@squad/types';
import { ED25519_PUBLIC_KEY_BYTES, ED25519_SEED_BYTES, type NodeKey } from '../ed25519.ts';
import { createNodeKey } from './ed25519.ts';
import { readSecretFile, writeSecretFile } from './secret-file.ts';

export const NODE_KEY_FILE_VERSION = 1;
const TYPE = 'squad-node-key';

export async function writeNodeKeyFile(path: string, key: NodeKey): Promise<void> {
  const content = {
    version: NODE_KEY_FILE_VERSION,
    type: TYPE,
    publicKey: toHex(key.publicKey),
    seed: toHex(key.secretKey),
  };
  await writeSecretFile(path, `${JSON.stringify(content, null, 2)}\n`);
}

/** As `parseNodeKey`, and what `readSecretFile` throws. */
export async function readNodeKeyFile(path: string): Promise<NodeKey> {
  return parseNodeKey(path, await readSecretFile(path));
}

/** `content`: the file's JSON; `path` is only for messages. Throws `NODE_KEY_FILE_INVALID`, `NODE_KEY_FILE_VERSION`. */
export function parseNodeKey(path: string, content: unknown): NodeKey {
  if (typeof content !== 'object' || content === null) throw invalid(path, 'it is not a JSON object');
  const { version, type, publicKey, seed } = content as Record<string, unknown>;
  if (type !== TYPE) throw invalid(path, `field type is ${JSON.stringify(type)}, not "${TYPE}"`);
  if (version !== NODE_KEY_FILE_VERSION) {
    throw new SquadError(
      'NODE_KEY_FILE_VERSION',
      `${path} has version ${JSON.stringify(version)}, this program reads version ${NODE_KEY_FILE_VERSION}`,
      'Use the program that wrote the file, or upgrade this one.',
      { path, version },
    );
  }
  if (!isHex(seed, ED25519_SEED_BYTES))
    throw invalid(path, `field seed is not 0x and ${2 * ED25519_SEED_BYTES} hex digits`);
  if (!isHex(publicKey, ED25519_PUBLIC_KEY_BYTES)) {
    throw invalid(path, `field publicKey is not 0x and ${2 * ED25519_PUBLIC_KEY_BYTES} hex digits`);
  }
  const key = createNodeKey(fromHex(seed));
  if (!equalBytes(key.publicKey, fromHex(publicKey)))
    throw invalid(path, 'field publicKey does not belong to field seed');
  return key;
}

function invalid(path: string, reason: string): SquadError {
  return new SquadError(
    'NODE_KEY_FILE_INVALID',
    `${path} is not a valid node key file: ${reason}`,
    'Restore it from its backup. With a new key the node has a new identity, which the validator set must be told.',
    { path },
  );
}
