/** Solidity's way to say why a call reverted. */

import { toHex } from '@squad/types';

const ERROR_STRING = '08c379a0';

/** The text of Error(string), if the data are one. */
export function errorString(data: Uint8Array): string | undefined {
  const selector = Buffer.from(data.subarray(0, 4)).toString('hex');
  if (selector !== ERROR_STRING || data.length < 68) return undefined;
  const length = Number(BigInt(toHex(data.subarray(36, 68))));
  if (length > data.length - 68) return undefined;
  return new TextDecoder().decode(data.subarray(68, 68 + length));
}
