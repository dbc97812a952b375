export * from './batches.ts';
export { CertificateChecker, type Fault, MAX_REMEMBERED_CERTIFICATES, type SignatureCheck } from './certificates.ts';
export * from './errors.ts';
export * from './proof/index.ts';
export * from './proven.ts';
export { createVerifier, type HeldBatches, type Verifier, type VerifierConfig } from './verifier.ts';
