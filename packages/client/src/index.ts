export { checkPossession, createVoteScheme, nobleBls, sha256 } from '@squad/crypto';
export {
  type BlockProof,
  bodyTransactions,
  decodeReceipt,
  fromHex,
  type Genesis,
  OrderingReceipt,
  parseGenesis,
  type Result,
  receiptFromJson,
  receiptFromText,
  receiptToJson,
  SquadError,
  toHex,
  type ValidatorSet,
} from '@squad/types';
export { refsOfRollup } from './batches.ts';
export { CertificateChecker, type Fault, MAX_REMEMBERED_CERTIFICATES, type SignatureCheck } from './certificates.ts';
export * from './errors.ts';
export { type Conflict, conflictOf } from './light/conflict.ts';
export { type KnownSet, verifyHandOverFrom } from './light/hand-over.ts';
export * from './light/light-client.ts';
export * from './proof/index.ts';
export * from './proven.ts';
export * from './remote/index.ts';
export * from './standing.ts';
export { createVerifier, type HeldBatches, type Verifier, type VerifierConfig } from './verifier.ts';
