export { type CertifiedBlock, type ProofOptions, verifyBlockProof } from './block-proof.ts';
export { type OrderedBundle, verifyBundle } from './bundle.ts';
export * from './checkpoint.ts';
export * from './namespace.ts';
export * from './prove.ts';
export * from './receipt.ts';
