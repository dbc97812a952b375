/** The native side, for Node only: blst, OpenSSL, libsecp256k1, WebAssembly keccak, key files. */

export { blstBls } from '../blst-bls.ts';
export * from './ed25519.ts';
export * from './hash.ts';
export * from './keystore.ts';
export * from './node-key-file.ts';
export * from './possession-record.ts';
export * from './recover.ts';
export * from './secret-file.ts';
export { verifyBatch } from './verify-batch.ts';
