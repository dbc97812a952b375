/** The fast half of the native side: signatures and hashes, without key files. For Node only. */

export { blstBls } from './blst-bls.ts';
export { keccak256, sha256 } from './node/hash.ts';
