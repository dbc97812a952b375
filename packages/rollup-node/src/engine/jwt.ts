/**
 * Authentication at the Engine API: a JWT signed with HMAC-SHA256 over a secret that both sides read from a file.
 * https://github.com/ethereum/execution-apis/blob/main/src/engine/authentication.md
 */

import { createHmac } from 'node:crypto';
import { readBoundedFile } from '@squad/service';
import { fromHex, isHex, SquadError } from '@squad/types';
import { MAX_JWT_SECRET_FILE_BYTES } from './limits.ts';

const SECRET_BYTES = 32;

/** 32 bytes. Throws SquadError `JWT_SECRET_UNREADABLE` or `JWT_SECRET_INVALID`; the secret is in no message. */
export async function readJwtSecret(path: string): Promise<Uint8Array> {
  const text = (await readText(path)).trim();
  const hex = text.startsWith('0x') ? text : `0x${text}`;
  if (isHex(hex, SECRET_BYTES)) return fromHex(hex);
  throw new SquadError(
    'JWT_SECRET_INVALID',
    `the JWT secret file ${path} does not hold 64 hex digits`,
    'Give the file that the execution client was started with (geth: --authrpc.jwtsecret); make one with `openssl rand -hex 32`.',
    { path },
  );
}

async function readText(path: string): Promise<string> {
  try {
    // One that is too long holds no secret either.
    return new TextDecoder().decode(await readBoundedFile(path, MAX_JWT_SECRET_FILE_BYTES));
  } catch (error) {
    throw new SquadError(
      'JWT_SECRET_UNREADABLE',
      `the JWT secret file ${path} cannot be read: ${(error as Error).message}`,
      'Name the file that the execution client was started with, readable by this process, with --jwt-secret.',
      { path },
      error,
    );
  }
}

/** `nowSeconds`: the claim `iat`, which a client accepts within 60 seconds of its own clock. */
export function createJwt(secret: Uint8Array, nowSeconds: number): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ iat: nowSeconds })}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
