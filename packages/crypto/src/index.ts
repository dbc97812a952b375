/** For any platform, browsers included: no node:* and no native module. The native side is `@squad/crypto/node`. */

export * from './batch.ts';
export {
  BLS_POSSESSION_DST,
  BLS_PUBLIC_KEY_BYTES,
  BLS_SECRET_KEY_BYTES,
  BLS_SEED_MIN_BYTES,
  BLS_SIGNATURE_BYTES,
  BLS_SIGNATURE_DST,
  type Bls,
} from './bls.ts';
export * from './bls-vote-scheme.ts';
export * from './body-root.ts';
export * from './certificate-fault.ts';
export {
  createNodeKey,
  ED25519_PUBLIC_KEY_BYTES,
  ED25519_SEED_BYTES,
  ED25519_SIGNATURE_BYTES,
  type NodeKey,
  type VerifyEd25519,
  verifyEd25519,
} from './ed25519.ts';
export * from './evidence.ts';
export * from './hand-over.ts';
export * from './hash.ts';
export { nobleBls } from './noble-bls.ts';
export { MAX_CACHED_PUBLIC_KEYS } from './point-cache.ts';
export * from './possession.ts';
export type * from './vote-scheme.ts';
