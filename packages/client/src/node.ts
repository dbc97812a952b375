/** For Node only: native signatures and hashes, to be handed to whatever takes `ProofOptions`. */

import { blstBls, keccak256, sha256 } from '@squad/crypto/native';
import type { ProofOptions } from './proof/block-proof.ts';

/**
 * @example
 * import { native } from '@squad/client/node';
 * const network = networkAccess(genesis, endpoints, native);
 */
export const native: Required<ProofOptions> = { bls: blstBls, sha256, keccak256 };
