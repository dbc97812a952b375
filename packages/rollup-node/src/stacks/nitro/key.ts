/** The key that signs the Nitro feed: a file with a secp256k1 key in hex. */

import { readBoundedFile } from '@squad/service';
import { fromHex, type Hex, isHex, SquadError } from '@squad/types';
import secp256k1 from 'secp256k1';
import { keccak256 } from '../../execution/keccak.ts';
import { hexOf } from '../../hex.ts';
import { MAX_FEED_KEY_FILE_BYTES } from './limits.ts';
import type { SignMessage } from './message.ts';

export interface FeedKey {
  /** What Nitro nodes are to allow: `--node.feed.input.verify.allowed-addresses`. */
  readonly address: Hex;
  readonly sign: SignMessage;
}

/** Throws SquadError `SECRET_FILE_UNREADABLE` or `SECRET_FILE_INVALID`. Never says what is in the file. */
export async function readFeedKey(path: string): Promise<FeedKey> {
  const text = (await readSmall(path)).trim();
  const hex = text.startsWith('0x') ? text : `0x${text}`;
  const key = isHex(hex, 32) ? fromHex(hex) : undefined;
  if (key === undefined || !secp256k1.privateKeyVerify(key)) {
    throw invalid(path, 'it does not hold a secp256k1 key: 64 hex digits, with or without 0x');
  }
  const publicKey = secp256k1.publicKeyCreate(key, false);
  return {
    address: hexOf(keccak256(publicKey.subarray(1)).subarray(12)),
    sign: (hash) => {
      const { signature, recid } = secp256k1.ecdsaSign(hash, key);
      return Uint8Array.of(...signature, recid);
    },
  };
}

async function readSmall(path: string): Promise<string> {
  try {
    const bytes = await readBoundedFile(path, MAX_FEED_KEY_FILE_BYTES);
    if (bytes) return new TextDecoder().decode(bytes);
    throw invalid(path, `it has more bytes than MAX_FEED_KEY_FILE_BYTES = ${MAX_FEED_KEY_FILE_BYTES}`);
  } catch (error) {
    if (error instanceof SquadError) throw error;
    throw new SquadError(
      'SECRET_FILE_UNREADABLE',
      `the key of the Nitro feed, ${path}, could not be read: ${(error as Error).message}`,
      'Check --nitro-feed-key, and that the file belongs to the user that runs the node.',
      { path },
      error,
    );
  }
}

function invalid(path: string, reason: string): SquadError {
  return new SquadError(
    'SECRET_FILE_INVALID',
    `${path} is no key for the Nitro feed: ${reason}`,
    'Restore it from its backup, or make one with: openssl rand -hex 32. The path may also name the wrong file.',
    { path },
  );
}
