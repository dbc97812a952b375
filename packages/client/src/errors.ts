/** Why a piece of a sequence was refused: a code to act on, and words that name the height, the ref and the fault. */

import type { Height } from '@squad/types';

export const VERIFICATION_ERROR_CODES = [
  /** Not a canonical encoding of a FeedBlock, or longer than a limit. */
  'ENCODING',
  'WRONG_ROLLUP',
  'WRONG_NETWORK',
  'WRONG_VERSION',
  'WRONG_EPOCH',
  /** A soft block needs a notarization, a final one a finalization. */
  'WRONG_CERTIFICATE_KIND',
  /** The certificate's bitmap does not fit the validator set. */
  'UNKNOWN_SIGNER',
  'BELOW_QUORUM',
  'BAD_SIGNATURE',
  /** The certificate does not name the block, or the end of its path. */
  'CERTIFICATE_MISMATCH',
  /** The headers from the block to the certified one do not link. */
  'PATH_BROKEN',
  /** At or below the known head: nothing new. */
  'STALE',
  /** Above the block that should follow the known head. */
  'GAP',
  'PARENT_MISMATCH',
  'REFS_ROOT_MISMATCH',
  'BATCH_OMITTED',
  'BATCH_EXTRA',
  /** A batch of this block that stands in another one's place. */
  'BATCH_MISPLACED',
  'BATCH_ENCODING',
  'BATCH_DIGEST_MISMATCH',
  /** Author, seq, rollup or network of the batch are not those of its ref. */
  'BATCH_HEADER_MISMATCH',
  'BODY_ROOT_MISMATCH',
  /** The validator set is not the one that is trusted. */
  'WRONG_VALIDATOR_SET',
  /** A block above its epoch's boundary block is none of the chain (R22). */
  'EPILOGUE',
  /** The position names no ref of the block. */
  'NO_SUCH_REF',
  /** The index names no transaction of the batch. */
  'NO_SUCH_TRANSACTION',
  /** The opened ranges are not those of a body with the batch's body root. */
  'RANGE_NOT_PROVEN',
  /** The transaction that is opened is another one than the receipt is of. */
  'TRANSACTION_MISMATCH',
  /** The receipts are not those of one whole bundle. */
  'BUNDLE_INCOMPLETE',
  /** The bodies were left out, and the verifier holds none for this block: ask for the block again, in full. */
  'BODIES_NOT_HELD',
] as const;
export type VerificationErrorCode = (typeof VERIFICATION_ERROR_CODES)[number];

export interface VerificationError {
  readonly code: VerificationErrorCode;
  /** One sentence: what was wrong, at which height, at which ref. */
  readonly message: string;
  /** Of the block that was refused; undefined if it did not even decode. */
  readonly height: Height | undefined;
  /** Position, among the block's refs, of the one that is concerned. */
  readonly refIndex?: number;
}
