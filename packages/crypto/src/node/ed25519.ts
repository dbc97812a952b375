/** Ed25519 by OpenSSL: sign 0.05 ms, verify 0.12 ms. */

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { concatBytes, fromHex, toHex } from '@squad/types';
import { checkNodeKeySeed, isVerifiable, type NodeKey, type VerifyEd25519 } from '../ed25519.ts';
import { LruCache } from '../lru-cache.ts';

/** Imported Ed25519 public keys that are kept: four full validator sets. Importing one costs about as much as a verification. */
export const MAX_CACHED_ED25519_KEYS = 1024;

/** What stands before the 32 raw bytes in DER (RFC 8410). */
const PKCS8_PREFIX = fromHex('0x302e020100300506032b657004220420');
const SPKI_PREFIX = fromHex('0x302a300506032b6570032100');

export function createNodeKey(seed: Uint8Array): NodeKey {
  checkNodeKeySeed(seed);
  const secretKey = seed.slice();
  const key = createPrivateKey({
    key: Buffer.from(concatBytes(PKCS8_PREFIX, secretKey)),
    format: 'der',
    type: 'pkcs8',
  });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return {
    publicKey: new Uint8Array(spki.subarray(SPKI_PREFIX.length)),
    secretKey,
    sign: (message) => new Uint8Array(sign(null, message, key)),
  };
}

const keys = new LruCache<string, KeyObject>(MAX_CACHED_ED25519_KEYS);

export const verifyEd25519: VerifyEd25519 = (publicKey, message, signature) => {
  if (!isVerifiable(publicKey, signature)) return false;
  const name = toHex(publicKey);
  let key = keys.get(name);
  if (key === undefined) {
    key = createPublicKey({ key: Buffer.from(concatBytes(SPKI_PREFIX, publicKey)), format: 'der', type: 'spki' });
    keys.set(name, key);
  }
  return verify(null, message, key, signature);
};
