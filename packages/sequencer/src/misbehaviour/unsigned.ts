/**
 * Votes that anybody could have made: what a set takes whose signatures cost nothing, to be compared with one that signs. All
 * of its validators have to run so.
 */

import { BLS_SIGNATURE_BYTES, type VoteScheme } from '@squad/crypto';
import { equalBytes } from '@squad/types';

export const unsigned: VoteScheme = {
  sign(root) {
    const signature = new Uint8Array(BLS_SIGNATURE_BYTES);
    signature.set(root);
    return signature;
  },
  aggregate: (signatures) => signatures[0],
  verify: (_signers, root, signature) => equalBytes(signature.subarray(0, root.length), root),
};
