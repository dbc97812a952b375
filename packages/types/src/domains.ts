/** Every signing domain in one table: 32 ASCII bytes, zero padded, unlike for each kind of object that is ever signed. */

import type { Bytes32 } from './ids.ts';

function domain(name: string): Bytes32 {
  const out = new Uint8Array(32);
  for (let i = 0; i < name.length; i++) out[i] = name.charCodeAt(i);
  return out;
}

export const DOMAINS = {
  /** NOTARIZE(view, block): BLS. */
  notarize: domain('squad:notarize:1'),
  /** NULLIFY(view): BLS. */
  nullify: domain('squad:nullify:1'),
  /** FINALIZE(view, block): BLS. */
  finalize: domain('squad:finalize:1'),
  /** A lane's batch header: Ed25519 node key. */
  batch: domain('squad:batch:1'),
} as const;
