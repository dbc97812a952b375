/** The batch check of `../batch.ts` on native hashing and Ed25519. */

import { createBatchVerifier, type VerifyBatch } from '../batch.ts';
import { verifyEd25519 } from './ed25519.ts';
import { sha256 } from './hash.ts';

export const verifyBatch: VerifyBatch = createBatchVerifier({ sha256, verifyEd25519 });
