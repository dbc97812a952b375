/** Whether a request may pass: the Engine API's JWT, checked as the specification has it, apart from the code that makes it. */

import { createHmac, timingSafeEqual } from 'node:crypto';

const MAX_CLOCK_DIFFERENCE_SECONDS = 60;

/** What is wrong with the header `Authorization`, if anything. */
export function authorizationFault(
  header: string | undefined,
  secret: Uint8Array,
  nowSeconds: number,
): string | undefined {
  const token = /^Bearer ([\w-]+)\.([\w-]+)\.([\w-]+)$/.exec(header ?? '');
  if (token === null) return 'missing token';
  const [head, claims, signature] = token.slice(1) as [string, string, string];
  const { alg } = decoded(head);
  if (alg !== 'HS256') return `signing method ${alg} is invalid`;
  const expected = createHmac('sha256', secret).update(`${head}.${claims}`).digest();
  const given = Buffer.from(signature, 'base64url');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return 'signature is invalid';
  const { iat } = decoded(claims);
  if (!Number.isInteger(iat)) return 'missing issued-at';
  if (Math.abs(Number(iat) - nowSeconds) > MAX_CLOCK_DIFFERENCE_SECONDS) return 'stale token';
  return undefined;
}

function decoded(part: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
}
